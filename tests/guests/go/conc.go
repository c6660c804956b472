// conc: 16 goroutines read 1000 files, and parts of one big file.
package main

import (
	"fmt"
	"os"
	"sort"
	"sync"
)

func main() {
	begin()
	work := make(chan int)
	var mu sync.Mutex
	var lines []string
	var wg sync.WaitGroup
	big, err := os.Open(in("sizes/s3145745"))
	say("Open %s", why(err))
	for g := 0; g < 16; g++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			buf := make([]byte, 3000)
			for i := range work {
				name := fmt.Sprintf("many/entry-%04d", i*3)
				data, err := os.ReadFile(in(name))
				n, err2 := big.ReadAt(buf, int64(i)*3001)
				line := fmt.Sprintf("%s %d %s %s at %d %s %s", name, len(data), sum(data), why(err), n, sum(buf[:n]), why(err2))
				mu.Lock()
				lines = append(lines, line)
				mu.Unlock()
			}
		}()
	}
	for i := 0; i < 1000; i++ {
		work <- i
	}
	close(work)
	wg.Wait()
	sort.Strings(lines)
	for _, line := range lines {
		say("%s", line)
	}
}
