// unixnet: net's own use of sockets with remote names: HTTP over one, names, and that Close removes the file.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func client() *http.Client {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		return net.Dial("unix", in("http.sock"))
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

func get(c *http.Client, path string) (string, error) {
	r, err := c.Get("http://remote" + path)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return string(b), err
}

func main() {
	begin()
	_, err := net.Dial("unix", in("none.sock"))
	fmt.Println("nobody:", strings.Contains(fmt.Sprint(err), "no such file"))
	l, err := net.Listen("unix", in("http.sock"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("listening on the name given:", l.Addr().String() == in("http.sock"))
	big := strings.Repeat("0123456789abcdef", 1<<16)
	mux := http.NewServeMux()
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, big) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "path ", r.URL.Path) })
	go http.Serve(l, mux)

	var wg sync.WaitGroup
	good := make(chan bool, 1000)
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			c := client()
			for j := 0; j < 10; j++ {
				want := fmt.Sprintf("/%d/%d", i, j)
				got, err := get(c, want)
				good <- err == nil && got == "path "+want
			}
			got, err := get(c, "/big")
			good <- err == nil && got == big
		}(i)
	}
	wg.Wait()
	close(good)
	n := 0
	for g := range good {
		if g {
			n++
		}
	}
	fmt.Println("good answers:", n)

	conn, err := net.Dial("unix", in("http.sock"))
	fmt.Println(err, err == nil && conn.RemoteAddr().String() == in("http.sock"))
	if err == nil {
		conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, err = conn.Read(make([]byte, 1))
		fmt.Println("deadline:", os.IsTimeout(err))
		conn.Close()
	}
	fmt.Println(l.Close())
	_, err = os.Stat(in("http.sock"))
	fmt.Println("removed by Close:", os.IsNotExist(err))
}
