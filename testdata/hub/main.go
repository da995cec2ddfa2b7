// Command hub runs the hub of the tests until its standard input ends, and prints its address and a token.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/llenergymeasure/llem/internal/share/sharetest"
)

func main() {
	h := sharetest.New()
	fmt.Println(h.URL, sharetest.Token)
	_, _ = io.Copy(io.Discard, os.Stdin)
	faults := h.Faults()
	h.Close()
	for _, f := range faults {
		fmt.Fprintln(os.Stderr, f)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
}
