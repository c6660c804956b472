// watch: a directory and a file watched as fsnotify does it: a descriptor that does not block and the runtime's
// poller, a reader of its own, and watches that come and go while it reads.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const watchMask = syscall.IN_MOVED_TO | syscall.IN_MOVED_FROM | syscall.IN_CREATE | syscall.IN_ATTRIB |
	syscall.IN_MODIFY | syscall.IN_DELETE | syscall.IN_DELETE_SELF | syscall.IN_MOVE_SELF

var maskNames = []struct {
	bit  uint32
	name string
}{
	{syscall.IN_MODIFY, "modify"}, {syscall.IN_ATTRIB, "attrib"}, {syscall.IN_MOVED_FROM, "from"},
	{syscall.IN_MOVED_TO, "to"}, {syscall.IN_CREATE, "create"}, {syscall.IN_DELETE, "delete"},
	{syscall.IN_DELETE_SELF, "delete-self"}, {syscall.IN_MOVE_SELF, "move-self"},
	{syscall.IN_IGNORED, "ignored"}, {syscall.IN_ISDIR, "dir"},
}

type watcher struct {
	fd     int
	file   *os.File
	events chan string
	ended  sync.WaitGroup
}

func newWatcher() *watcher {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		say("inotify_init1: %v", err)
		os.Exit(1)
	}
	w := &watcher{fd: fd, file: os.NewFile(uintptr(fd), ""), events: make(chan string, 1000)}
	w.ended.Add(1)
	go w.read()
	return w
}

func (w *watcher) add(name string, flags uint32) int {
	wd, err := syscall.InotifyAddWatch(w.fd, in(name), watchMask|flags)
	say("add %s: %d %s", name, wd, why(err))
	return wd
}

func (w *watcher) read() {
	defer w.ended.Done()
	var buf [syscall.SizeofInotifyEvent * 4096]byte
	for {
		n, err := w.file.Read(buf[:])
		if err != nil {
			close(w.events)
			return
		}
		for at := 0; at < n; {
			e := (*syscall.InotifyEvent)(unsafe.Pointer(&buf[at]))
			at += syscall.SizeofInotifyEvent
			name := string(bytes.TrimRight(buf[at:at+int(e.Len)], "\x00"))
			at += int(e.Len)
			w.events <- text(e, name)
		}
	}
}

func text(e *syscall.InotifyEvent, name string) string {
	words := []string{fmt.Sprint(e.Wd)}
	for _, m := range maskNames {
		if e.Mask&m.bit != 0 {
			words = append(words, m.name)
		}
	}
	return strings.Join(append(words, fmt.Sprintf("%q", name)), " ")
}

// until prints events up to one that ends in last.
func (w *watcher) until(what, last string) {
	say("-- %s", what)
	for {
		select {
		case e := <-w.events:
			say("%s", e)
			if strings.HasSuffix(e, last) {
				return
			}
		case <-time.After(10 * time.Second):
			say("nothing more")
			return
		}
	}
}

func main() {
	begin()
	os.Mkdir(in("w"), 0o755)
	os.Mkdir(in("w/sub"), 0o755)
	w := newWatcher()
	top := w.add("w", 0)
	w.add("w/sub", 0)
	w.add("none", 0)

	os.WriteFile(in("w/config"), []byte("one"), 0o644)
	w.until("written", `modify "config"`)
	os.WriteFile(in("w/config.tmp"), []byte("two"), 0o644)
	os.Rename(in("w/config.tmp"), in("w/config"))
	w.until("replaced", `to "config"`)
	w.add("w/config", 0)
	os.Chmod(in("w/config"), 0o600)
	os.Rename(in("w/config"), in("w/sub/config"))
	w.until("moved", `move-self ""`)
	os.Remove(in("w/sub/config"))
	w.until("removed", `3 ignored ""`)

	var many sync.WaitGroup
	for i := 0; i < 8; i++ {
		many.Add(1)
		go func(i int) {
			defer many.Done()
			for j := 0; j < 20; j++ {
				os.WriteFile(in(fmt.Sprintf("w/sub/%d", i)), []byte{byte(j)}, 0o644)
			}
		}(i)
	}
	many.Wait()
	os.Mkdir(in("w/sub/end"), 0o755)
	seen := map[string]bool{}
	for e := range w.events {
		seen[e] = true
		if strings.HasSuffix(e, `"end"`) {
			break
		}
	}
	say("-- by goroutines: %d different", len(seen))

	os.WriteFile(in("w/last"), nil, 0o644)
	if _, err := syscall.InotifyRmWatch(w.fd, uint32(top)); err != nil {
		say("rm: %v", err)
	}
	w.until("removed watch", `1 ignored ""`)
	w.file.Close()
	w.ended.Wait()
	say("closed")
}
