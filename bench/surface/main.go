// Command surface counts the exported identifiers of this module's public packages, and lists identifiers
// without a comment.
//
//	go run ./bench/surface [-bare] [folder of the module]
package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"

	"github.com/llenergymeasure/llem/internal/surface"
)

func main() {
	bare := flag.Bool("bare", false, "list identifiers and fields without a comment")
	flag.Parse()
	packages, err := surface.Read(cmp.Or(flag.Arg(0), "."))
	if err != nil {
		fmt.Fprintln(os.Stderr, "surface:", err)
		os.Exit(1)
	}
	var all surface.Package
	fmt.Printf("%-32s %11s %6s %15s\n", "package", "identifiers", "fields", "without comment")
	for _, p := range packages {
		fmt.Printf("%-32s %11d %6d %15d\n", p.Dir, p.Identifiers, p.Fields, len(p.Bare))
		all.Identifiers += p.Identifiers
		all.Fields += p.Fields
		all.Bare = append(all.Bare, p.Bare...)
	}
	fmt.Printf("%-32s %11d %6d %15d\n", "all", all.Identifiers, all.Fields, len(all.Bare))
	if *bare {
		for _, b := range all.Bare {
			fmt.Println(b)
		}
	}
}
