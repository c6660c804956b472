// lockthreads: goroutines locked to their threads, made and ended all the time, each with files of its own.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
)

func main() {
	begin()
	for round := 0; round < 5; round++ {
		var wg sync.WaitGroup
		results := make([]string, 40)
		for i := range results {
			wg.Add(1)
			go func(i int) {
				defer wg.Done()
				// Never unlocked: the thread ends with the goroutine.
				runtime.LockOSThread()
				path := in(fmt.Sprintf("dir/t%d", i))
				err := os.WriteFile(path, []byte(path[len(tree):]), 0o600)
				data, err2 := os.ReadFile(path)
				err3 := os.Remove(path)
				results[i] = fmt.Sprintf("%q %s %s %s", data, why(err), why(err2), why(err3))
			}(i)
		}
		wg.Wait()
		for i, r := range results {
			say("%d %d %s", round, i, r)
		}
	}
}
