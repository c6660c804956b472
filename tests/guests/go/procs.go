// procs: children with their standard files in the tree, and many at once.
package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// child upper-cases standard input and says where it runs.
func child() {
	data, err := io.ReadAll(os.Stdin)
	if err != nil {
		os.Exit(9)
	}
	os.Stdout.Write(bytes.ToUpper(data))
	os.Stderr.WriteString("done\n")
	os.Exit(3)
}

func filter(input, output string) {
	src, err := os.Open(in(input))
	dst, err2 := os.OpenFile(in(output), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	say("open %s %s", why(err), why(err2))
	self, _ := os.Executable()
	cmd := exec.Command(self, tree, "child")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = src, dst, &stderr
	cmd.Dir = in("dir")
	err = cmd.Run()
	say("%s to %s: %v, stderr %q", input, output, err, stderr.String())
	src.Close()
	dst.Close()
	data, err := os.ReadFile(in(output))
	say("%s: %d %s %s", output, len(data), sum(data), why(err))
}

func storm() {
	self, _ := os.Executable()
	var wg sync.WaitGroup
	results := make([]string, 40)
	for i := range results {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			cmd := exec.Command(self, tree, "child")
			if i%2 == 0 {
				f, err := os.Open(in("hello.txt"))
				if err != nil {
					results[i] = why(err)
					return
				}
				defer f.Close()
				cmd.Stdin = f
			} else {
				cmd.Stdin = strings.NewReader("piped\n")
			}
			data, err := cmd.Output()
			results[i] = string(data) + err.Error()
		}(i)
	}
	wg.Wait()
	for i, r := range results {
		say("%d %q", i, r)
	}
}

func main() {
	begin()
	if len(os.Args) > 2 {
		child()
	}
	filter("lines.txt", "upper")
	filter("hello.txt", "upper")
	filter("sizes/s3145745", "upper2")
	storm()
	_, err := exec.LookPath(in("missing"))
	say("LookPath %v", err)
	say("missing %v", exec.Command(in("missing")).Run())
}
