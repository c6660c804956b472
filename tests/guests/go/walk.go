// walk: the whole tree, sizes, times and hashes.
package main

func main() {
	begin()
	report(tree)
}
