// files: the os package's calls, one after the other.
package main

import (
	"io"
	"os"
	"path/filepath"
	"time"
)

func reading() {
	data, err := os.ReadFile(in("hello.txt"))
	say("ReadFile %q %s", data, why(err))
	for _, name := range []string{"sizes/s131072", "sizes/s131073", "sizes/s1048577", "sizes/s3145745", "empty", "missing", "dir"} {
		data, err = os.ReadFile(in(name))
		say("ReadFile %s %d %s %s", name, len(data), sum(data), why(err))
	}
	f, err := os.Open(in("lines.txt"))
	say("Open %s", why(err))
	buf := make([]byte, 20)
	n, err := f.ReadAt(buf, 100)
	say("ReadAt %q %s", buf[:n], why(err))
	at, err := f.Seek(-10, io.SeekEnd)
	say("Seek %d %s", at, why(err))
	n, err = io.ReadFull(f, buf)
	say("ReadFull %q %s", buf[:n], why(err))
	n, err = f.Write(buf)
	say("Write %d %s", n, why(err))
	say("Sync %s Truncate %s Chdir %s", why(f.Sync()), why(f.Truncate(0)), why(f.Chdir()))
	say("SetDeadline %s", why(f.SetDeadline(time.Now())))
	say("Close %s, again %s", why(f.Close()), why(f.Close()))
}

func stats() {
	for _, name := range []string{"", "hello.txt", "dir", "links/rel", "links/dangling", "links/self", "missing", "hello.txt/x", "modes/m4755", "modes/d1777"} {
		info, err := os.Stat(in(name))
		if err != nil {
			say("Stat %s %s", name, why(err))
			continue
		}
		say("Stat %s %v %s dir %v", name, info.Mode(), when(info.ModTime()), info.IsDir())
	}
	a, _ := os.Stat(in("hard/a"))
	b, _ := os.Stat(in("hard/b"))
	c, _ := os.Stat(in("ro"))
	say("SameFile %v %v", os.SameFile(a, b), os.SameFile(a, c))
	link, err := os.Readlink(in("links/abs"))
	say("Readlink %q %s", link, why(err))
	path, err := filepath.EvalSymlinks(in("links/through"))
	say("EvalSymlinks %s %s", path, why(err))
	names, err := filepath.Glob(in("sizes/s*1"))
	say("Glob %v %s", names, why(err))
}

func directories() {
	entries, err := os.ReadDir(in("odd"))
	say("ReadDir %d %s", len(entries), why(err))
	for _, e := range entries {
		info, err := e.Info()
		say("  %q %v %d %s", e.Name(), e.Type(), info.Size(), why(err))
	}
	d, _ := os.Open(in("many"))
	total := 0
	for {
		names, err := d.Readdirnames(100)
		total += len(names)
		if err != nil {
			say("Readdirnames %d %s", total, why(err))
			break
		}
	}
	d.Close()
	_, err = os.ReadDir(in("hello.txt"))
	say("ReadDir of a file %s", why(err))
	say("Mkdir %s, again %s", why(os.Mkdir(in("made"), 0o750)), why(os.Mkdir(in("made"), 0o750)))
	say("MkdirAll %s", why(os.MkdirAll(in("made/a/b/c"), 0o755)))
	say("Remove %s", why(os.Remove(in("made"))))
	say("RemoveAll %s, again %s", why(os.RemoveAll(in("made"))), why(os.RemoveAll(in("made"))))
	say("Chdir %s", why(os.Chdir(in("dir"))))
	wd, err := os.Getwd()
	say("Getwd %s %s", wd, why(err))
	data, err := os.ReadFile("../hello.txt")
	say("relative %q %s", data, why(err))
	data, err = os.ReadFile("file")
	say("relative %q %s", data, why(err))
}

func writing() {
	say("WriteFile %s", why(os.WriteFile(in("w"), []byte("written\n"), 0o604)))
	f, err := os.OpenFile(in("w"), os.O_APPEND|os.O_WRONLY, 0)
	say("OpenFile %s", why(err))
	n, err := f.WriteString("appended\n")
	say("WriteString %d %s", n, why(err))
	say("Close %s", why(f.Close()))
	_, err = os.OpenFile(in("w"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	say("O_EXCL %s", why(err))
	f, err = os.Create(in("copy"))
	say("Create %s", why(err))
	src, _ := os.Open(in("sizes/s1048577"))
	// Not io.Copy between files: copy_file_range is not emulated yet.
	copied, err := io.Copy(struct{ io.Writer }{f}, struct{ io.Reader }{src})
	say("Copy %d %s", copied, why(err))
	n, err = f.WriteAt([]byte("AT"), 1000)
	say("WriteAt %d %s", n, why(err))
	say("Truncate %s Sync %s Close %s", why(f.Truncate(5000)), why(f.Sync()), why(f.Close()))
	say("os.Truncate %s", why(os.Truncate(in("w"), 3)))
	say("Rename %s, back %s", why(os.Rename(in("w"), in("dir/w"))), why(os.Rename(in("w"), in("x"))))
	say("Rename over %s", why(os.Rename(in("dir/w"), in("ro"))))
	say("Remove %s, again %s", why(os.Remove(in("exec.sh"))), why(os.Remove(in("exec.sh"))))
	t, err := os.CreateTemp(tree, "tmp*")
	say("CreateTemp %s", why(err))
	t.Close()
	say("Remove %s", why(os.Remove(t.Name())))
}

func main() {
	begin()
	reading()
	stats()
	directories()
	writing()
}
