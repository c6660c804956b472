// records KIND DIR: changes the files of a directory, one number after the other, until standard input ends. Each number is printed once
// what belongs to it is done and synced; "! NUMBER: ERROR" says that nobody knows whether it was done, and is left as it is then.
//
//	append  two writers append lines to one file; numbers are "a 1", "b 1", …
//	names   creates with O_EXCL, renames, links, unlinks and removes files and directories
//	bytes   writes files in pieces, and reads and maps them
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	keep  = 20 // directories of names
	slots = 3  // files of bytes
	block = 16 // bytes
)

var (
	out     sync.Mutex
	stopped int32
	failed  int32
)

func say(format string, args ...interface{}) {
	out.Lock()
	defer out.Unlock()
	fmt.Printf(format+"\n", args...)
}

// What a lost agent may leave undecided, or what is found when something undecided was done or not.
func undecided(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ESTALE)
}

// count calls step with 1, 2, … and tells what came of each.
func count(who string, step func(n int) error) {
	for n := 1; atomic.LoadInt32(&stopped) == 0; n++ {
		err := step(n)
		switch {
		case err == nil:
			say("%s%d", who, n)
		case undecided(err):
			say("! %s%d: %v", who, n, err)
		default:
			say("? %s%d: %v", who, n, err)
			atomic.StoreInt32(&failed, 1)
			return
		}
	}
}

func open(path string, flags int) *os.File {
	for {
		f, err := os.OpenFile(path, flags, 0o644)
		if err == nil {
			return f
		}
		if !undecided(err) {
			say("? %v", err)
			os.Exit(1)
		}
	}
}

func appendLines(dir, who string) {
	path := filepath.Join(dir, "records")
	f := open(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND)
	count(who+" ", func(n int) error {
		_, err := fmt.Fprintf(f, "%s %d %s\n", who, n, strings.Repeat(strconv.Itoa(n), n*7%199))
		if err == nil {
			err = f.Sync()
		}
		if err != nil && undecided(err) {
			f.Close()
			f = open(path, os.O_WRONLY|os.O_APPEND)
		}
		return err
	})
}

func create(path string, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.WriteString(f, content)
	return err
}

func names(dir string) {
	at := func(format string, args ...interface{}) string {
		return filepath.Join(dir, fmt.Sprintf(format, args...))
	}
	given := map[int]bool{} // up: what became of them nobody knows
	each := func(n int, steps ...func() error) error {
		for _, step := range steps {
			if err := step(); err != nil {
				given[n] = true
				return err
			}
		}
		return nil
	}
	count("", func(n int) error {
		first, second, d, old := at("first.%d", n), at("second.%d", n), at("d.%d", n), n-keep
		err := each(n,
			func() error { return create(first, fmt.Sprintln(n)) },
			func() error { return os.Link(first, second) },
			func() error { return os.Mkdir(d, 0o755) },
			func() error { return os.Rename(second, filepath.Join(d, "kept")) },
			func() error { return syscall.Unlink(first) }, // os.Remove would tell why it is no directory
			func() error { return os.Symlink(strconv.Itoa(n), filepath.Join(d, "link")) })
		if old < 1 || given[old] || (err != nil && !undecided(err)) {
			return err
		}
		d = at("d.%d", old)
		older := each(old,
			func() error { return syscall.Unlink(filepath.Join(d, "kept")) },
			func() error { return syscall.Unlink(filepath.Join(d, "link")) },
			func() error { return syscall.Rmdir(d) })
		if older != nil && undecided(older) {
			say("! %d: %v", old, older)
			return err
		}
		if older != nil {
			return older
		}
		return err
	})
}

// What block i of file n holds.
func fill(n, from, blocks int) []byte {
	var b bytes.Buffer
	for i := 0; i < blocks; i++ {
		fmt.Fprintf(&b, "%07d %07d\n", n, from+i)
	}
	return b.Bytes()
}

func same(n, from int, got []byte) error {
	if bytes.Equal(got, fill(n, from, len(got)/block)) {
		return nil
	}
	return fmt.Errorf("wrong bytes at block %d, %d blocks", from, len(got)/block)
}

func writeBytes(f *os.File, n, blocks int) error {
	for at := 0; at < blocks; {
		piece := 1 + rand.Intn(1<<uint(rand.Intn(17)))
		if at+piece > blocks {
			piece = blocks - at
		}
		if _, err := f.WriteAt(fill(n, at, piece), int64(at*block)); err != nil {
			return err
		}
		at += piece
	}
	return f.Sync()
}

func readBytes(f *os.File, n, blocks int) error {
	for i := 0; i < 20; i++ {
		at := rand.Intn(blocks)
		got := make([]byte, block*(1+rand.Intn(blocks-at)))
		if _, err := f.ReadAt(got, int64(at*block)); err != nil {
			return err
		}
		if err := same(n, at, got); err != nil {
			return err
		}
	}
	return nil
}

func mapBytes(f *os.File, n, blocks int) error {
	m, err := syscall.Mmap(int(f.Fd()), 0, blocks*block, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	defer syscall.Munmap(m)
	return same(n, 0, m)
}

func slot(dir string, n int) error {
	blocks := 1 + rand.Intn(1<<16)
	path := filepath.Join(dir, fmt.Sprintf("slot.%d", n%slots))
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, step := range []func(*os.File, int, int) error{writeBytes, readBytes, mapBytes} {
		if err := step(f, n, blocks); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	var all sync.WaitGroup
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: records append|names|bytes DIR")
		os.Exit(2)
	}
	dir := os.Args[2]
	run := map[string][]func(){
		"append": {func() { appendLines(dir, "a") }, func() { appendLines(dir, "b") }},
		"names":  {func() { names(dir) }},
		"bytes":  {func() { count("", func(n int) error { return slot(dir, n) }) }},
	}[os.Args[1]]
	go func() {
		io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		atomic.StoreInt32(&stopped, 1)
	}()
	for _, f := range run {
		all.Add(1)
		go func(f func()) {
			defer all.Done()
			f()
		}(f)
	}
	all.Wait()
	os.Exit(int(failed))
}
