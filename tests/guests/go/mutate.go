// mutate: makes, rewrites, renames and removes among a thousand files, then prints what is left.
package main

import (
	"fmt"
	"os"
	"sync"
)

const files = 1000

func create(i int) error {
	dir := in(fmt.Sprintf("work/d%02d", i%20))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(fmt.Sprintf("%s/f%04d", dir, i), []byte(fmt.Sprintf("file %d\n", i)), 0o640)
}

func change(i int) error {
	path := in(fmt.Sprintf("work/d%02d/f%04d", i%20, i))
	switch i % 5 {
	case 0:
		return os.Remove(path)
	case 1:
		return os.Rename(path, in(fmt.Sprintf("work/d%02d/moved%04d", (i+7)%20, i)))
	case 2:
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		if _, err = fmt.Fprintf(f, "more %d\n", i); err != nil {
			return err
		}
		return f.Close()
	case 3:
		return os.Truncate(path, int64(i%9))
	}
	return os.WriteFile(path, make([]byte, i), 0o600)
}

// everyone runs f on all files from 16 goroutines and prints what failed.
func everyone(label string, f func(int) error) {
	var wg sync.WaitGroup
	errs := make([]error, files)
	for g := 0; g < 16; g++ {
		wg.Add(1)
		go func(g int) {
			defer wg.Done()
			for i := g; i < files; i += 16 {
				errs[i] = f(i)
			}
		}(g)
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			say("%s %d: %s", label, i, why(err))
		}
	}
	say("%s done", label)
}

func main() {
	begin()
	everyone("create", create)
	everyone("change", change)
	say("RemoveAll %s", why(os.RemoveAll(in("work/d03"))))
	say("Rename %s", why(os.Rename(in("work/d04"), in("work/renamed"))))
	say("RemoveAll %s", why(os.RemoveAll(in("deep"))))
	report(tree)
}
