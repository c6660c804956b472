// A static Go program that knows nothing of remotefs-trace: it reads its configuration, walks a
// directory with several goroutines and writes a report.
package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
)

func sum(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	hash := sha256.Sum256(data)
	return fmt.Sprintf("%x  %6d bytes  %s", hash[:6], len(data), path)
}

func main() {
	log.SetFlags(0)
	conf, err := os.ReadFile("/etc/app/config.yaml")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("config: %s", conf)
	var lines []string
	var lock sync.Mutex
	var all sync.WaitGroup
	err = filepath.WalkDir("/srv/data", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		all.Add(1)
		go func() {
			defer all.Done()
			line := sum(path)
			lock.Lock()
			lines = append(lines, line)
			lock.Unlock()
		}()
		return nil
	})
	all.Wait()
	if err != nil {
		log.Fatal(err)
	}
	sort.Strings(lines)
	report := strings.Join(lines, "\n") + "\n"
	fmt.Print(report)
	if err := os.WriteFile("/srv/report.txt", []byte(report), 0o644); err != nil {
		log.Fatal(err)
	}
}
