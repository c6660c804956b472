// busy: goroutines and children that do file I/O without end, to be killed at any moment.
package main

import (
	"fmt"
	"os"
	"os/exec"
)

func work(g int) {
	path := in(fmt.Sprintf("dir/g%d", g))
	for {
		os.WriteFile(path, make([]byte, 5000), 0o600)
		os.ReadFile(in("sizes/s131073"))
		os.ReadDir(in("dir"))
		os.Rename(path, path+"x")
		os.Remove(path + "x")
	}
}

func main() {
	begin()
	if len(os.Args) > 2 {
		return
	}
	for g := 0; g < 8; g++ {
		go work(g)
	}
	self, _ := os.Executable()
	say("busy")
	for {
		exec.Command(self, tree, "child").Run()
	}
}
