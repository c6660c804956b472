// The same as service.c, in Go: what a service does with its files.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"strings"
	"syscall"
)

// The names that guest.h has for errors.
func name(err error) string {
	var e syscall.Errno
	if err == nil {
		return "ok"
	}
	if !errors.As(err, &e) {
		return err.Error()
	}
	return map[syscall.Errno]string{syscall.EACCES: "EACCES", syscall.ENOENT: "ENOENT", syscall.EEXIST: "EEXIST",
		syscall.EPERM: "EPERM", syscall.ENOTEMPTY: "ENOTEMPTY", syscall.EROFS: "EROFS", syscall.ENOTDIR: "ENOTDIR",
		syscall.EISDIR: "EISDIR", syscall.ENOTSUP: "EOPNOTSUPP", syscall.EIO: "EIO"}[e]
}

func done(what string, err error) { fmt.Fprintf(out, "%s: %s\n", what, name(err)) }

func digest(data []byte) uint32 {
	h := fnv.New32a()
	h.Write(data)
	return h.Sum32()
}

func put(file string, flags int, text string) {
	f, err := os.OpenFile(in(file), flags|os.O_WRONLY|os.O_CREATE, 0o644)
	if err == nil {
		_, err = f.WriteString(text)
		f.Close()
	}
	fmt.Fprintf(out, "write /%s: %s\n", file, name(err))
}

func fileDigest(file string) uint32 {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	return digest(data)
}

// The mode as stat(2) has it.
func mode(file string) uint32 {
	var st syscall.Stat_t
	syscall.Lstat(file, &st)
	return st.Mode
}

func list(dir, shown string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		fmt.Fprintf(out, "%s: %s\n", shown, name(err))
	}
	for _, e := range entries {
		file, sub := dir+"/"+e.Name(), shown+"/"+e.Name()
		info, err := e.Info()
		switch {
		case err != nil:
			fmt.Fprintf(out, "%s: %s\n", sub, name(err))
		case e.IsDir():
			fmt.Fprintf(out, "%s %o\n", sub, mode(file))
			list(file, sub)
		case info.Mode()&os.ModeSymlink != 0:
			text, _ := os.Readlink(file)
			length := len(text)
			if e.Name() != "current" {
				text = ""
			}
			fmt.Fprintf(out, "%s -> %d %08x\n", sub, length, digest([]byte(text)))
		default:
			fmt.Fprintf(out, "%s %o %d %08x\n", sub, mode(file), info.Size(), fileDigest(file))
		}
	}
}

func configure() int {
	data, _ := os.ReadFile(in("lines.txt"))
	n := bytes.Count(data, []byte("\n"))
	fmt.Fprintf(out, "configuration: %d lines, %08x\n", n, digest(data))
	return n / 200
}

func saveState(n int) {
	text := fmt.Sprintf("state of round %d\n", n)
	put("dir/state.new", os.O_TRUNC, text)
	done("rename the state", os.Rename(in("dir/state.new"), in("dir/state")))
	put("dir/log", os.O_APPEND, text)
	os.Remove(in("dir/current"))
	done("symlink", os.Symlink(fmt.Sprintf("state.%d", n), in("dir/current")))
	done("link", os.Link(in("dir/state"), in(fmt.Sprintf("dir/state.%d", n))))
}

func work(n int) {
	dir := func(state string, n int) string { return fmt.Sprintf("%s.%d", state, n) }
	done("mkdir", os.Mkdir(in(dir("work", n)), 0o755))
	put(dir("work", n)+"/a", 0, "a\n")
	put(dir("work", n)+"/b", os.O_EXCL, "b\n")
	done("rename a directory", os.Rename(in(dir("work", n)), in(dir("done", n))))
	done("unlink", syscall.Unlink(in(dir("done", n)+"/a")))
	if n > 1 {
		done("unlink an old one", syscall.Unlink(in(dir("done", n-2)+"/b")))
		done("rmdir", syscall.Rmdir(in(dir("done", n-2))))
	}
}

func changeOld(n int) {
	switch n {
	case 0:
		done("rename deep", os.Rename(in("deep"), in("deeper")))
		put("deeper/a/leaf", os.O_APPEND, "more\n")
		done("unlink", syscall.Unlink(in("dir/file")))
	case 1:
		done("chmod", os.Chmod(in("exec.sh"), 0o700))
		done("setxattr", syscall.Setxattr(in("hello.txt"), "user.seen", []byte("1"), 0))
		done("truncate", os.Truncate(in("sizes/s65536"), 100))
	case 2:
		put("dir/file", os.O_EXCL, "again\n")
		done("rmdir", syscall.Rmdir(in("dir/empty")))
		done("mkdir", os.Mkdir(in("dir/empty"), 0o700))
		put("hard/b", os.O_TRUNC, "through another name\n")
	case 3:
		done("rename over", os.Rename(in("sizes/s4096"), in("sizes/s4095")))
		done("rename into", os.Rename(in("deeper/a/b"), in("dir/one/b")))
		done("unlink", syscall.Unlink(in("dir/one/only")))
	}
}

func main() {
	begin()
	tree = strings.TrimSuffix(tree, "/")
	syscall.Umask(0o022)
	rounds := configure()
	for n := 0; n < rounds; n++ {
		fmt.Fprintf(out, "-- round %d\n", n)
		changeOld(n)
		work(n)
		saveState(n)
		list(in("dir"), "dir")
	}
	fmt.Fprintln(out, "-- at last")
	list(tree, ".")
	out.Flush()
}
