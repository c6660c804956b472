// sigurg: busy goroutines make the runtime preempt by SIGURG all the time, while others do file I/O.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	begin()
	runtime.GOMAXPROCS(4)
	var stop int32
	var spins int64
	for i := 0; i < 4; i++ {
		go func() {
			for n := int64(0); atomic.LoadInt32(&stop) == 0; n++ {
				for j := 0; j < 100000; j++ {
					n += int64(j & 1)
				}
				atomic.AddInt64(&spins, 1)
			}
		}()
	}
	go func() {
		for atomic.LoadInt32(&stop) == 0 {
			runtime.GC()
			time.Sleep(time.Millisecond)
		}
	}()
	var wg sync.WaitGroup
	bad := make([]int, 4)
	for g := range bad {
		wg.Add(1)
		go func(g int) {
			defer wg.Done()
			path := in(fmt.Sprintf("log%d", g))
			f, _ := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			defer f.Close()
			for i := 0; i < 150; i++ {
				dir := in(fmt.Sprintf("dir/g%d-%d", g, i))
				if os.Mkdir(dir, 0o755) != nil || os.Remove(dir) != nil {
					bad[g]++
				}
				if n, err := f.WriteString("0123456789"); n != 10 || err != nil {
					bad[g]++
				}
				if data, err := os.ReadFile(in("sizes/s131073")); len(data) != 131073 || err != nil {
					bad[g]++
				}
			}
		}(g)
	}
	wg.Wait()
	atomic.StoreInt32(&stop, 1)
	for g := range bad {
		info, err := os.Stat(in(fmt.Sprintf("log%d", g)))
		say("%d bad, log of %d bytes, %s", bad[g], info.Size(), why(err))
	}
	say("others ran: %v", atomic.LoadInt64(&spins) > 0)
}
