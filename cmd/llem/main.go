// Command llem measures the energy of LLM inference. See `llem --help`.
package main

import (
	"os"

	"github.com/llenergymeasure/llem"
	"github.com/llenergymeasure/llem/cmd/llem/internal/cli"
)

func main() {
	llem.WorkerMain()
	os.Exit(cli.Main(cli.ProcessEnv()))
}
