// goread DIR: 16 goroutines read the files below DIR whole, as a walk finds them; prints how many files and bytes there
// were, and a sum of their contents that does not depend on the order.
package main

import (
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func main() {
	names := make(chan string)
	var files, bytes, sum int64
	var wg sync.WaitGroup
	for i := 0; i < 16; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for name := range names {
				data, err := os.ReadFile(name)
				must(err)
				atomic.AddInt64(&files, 1)
				atomic.AddInt64(&bytes, int64(len(data)))
				atomic.AddInt64(&sum, int64(crc32.ChecksumIEEE(data)))
			}
		}()
	}
	must(filepath.WalkDir(os.Args[1], func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			names <- name
		}
		return err
	}))
	close(names)
	wg.Wait()
	fmt.Println(files, "files,", bytes, "bytes, sum", sum)
}
