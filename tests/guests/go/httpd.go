// httpd TREE PORTFILE: answers HTTP on a free port, which it writes to PORTFILE (outside the tree), until GET /quit.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	begin()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	greeting, err := os.ReadFile(in("hello.txt"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { w.Write(greeting) })
	http.HandleFunc("/quit", func(w http.ResponseWriter, r *http.Request) {
		go os.Exit(0)
	})
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	os.WriteFile(os.Args[2]+".tmp", []byte(port), 0o644)
	os.Rename(os.Args[2]+".tmp", os.Args[2])
	http.Serve(l, nil)
}
