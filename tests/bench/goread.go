// goread DIR: 16 goroutines read the files of DIR whole; prints how many files and bytes there were.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

func main() {
	entries, err := os.ReadDir(os.Args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	names := make(chan string)
	var files, bytes int64
	var wg sync.WaitGroup
	for i := 0; i < 16; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for name := range names {
				data, err := os.ReadFile(filepath.Join(os.Args[1], name))
				if err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
				atomic.AddInt64(&files, 1)
				atomic.AddInt64(&bytes, int64(len(data)))
			}
		}()
	}
	for _, e := range entries {
		names <- e.Name()
	}
	close(names)
	wg.Wait()
	fmt.Println(files, "files,", bytes, "bytes")
}
