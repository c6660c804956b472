// What the Go guests share: the tree, and errors that print the same in every run.
package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

var (
	tree    string
	out     = bufio.NewWriter(os.Stdout)
	started = time.Now()
)

func begin() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: guest TREE")
		os.Exit(98)
	}
	tree = os.Args[1]
}

func in(name string) string { return filepath.Join(tree, name) }

// say prints a line; the tree's own path is cut out of it.
func say(format string, args ...any) {
	fmt.Fprintln(out, strings.ReplaceAll(fmt.Sprintf(format, args...), tree, "TREE"))
	out.Flush()
}

func why(err error) string {
	if err == nil {
		return "ok"
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Op + ": " + pe.Err.Error()
	}
	return err.Error()
}

func when(t time.Time) string {
	if d := t.Sub(started); d > -10*time.Minute && d < 10*time.Minute {
		return "recent"
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b))[:16] }

// report prints everything below the tree that does not differ between two runs.
func report(root string) {
	var lines []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		if err != nil {
			lines = append(lines, fmt.Sprintf("%q %s", rel, why(err)))
			return nil
		}
		info, err := d.Info()
		if err != nil {
			lines = append(lines, fmt.Sprintf("%q %s", rel, why(err)))
			return nil
		}
		line := fmt.Sprintf("%q %v %s", rel, info.Mode(), when(info.ModTime()))
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			line += fmt.Sprintf(" %d %s %s", info.Size(), sum(data), why(err))
		case info.Mode()&fs.ModeSymlink != 0:
			text, err := os.Readlink(path)
			line += fmt.Sprintf(" %.40q %s", text, why(err))
		}
		lines = append(lines, line)
		return nil
	})
	sort.Strings(lines)
	for _, line := range lines {
		say("%s", line)
	}
	say("%d entries, %s", len(lines), why(err))
}
