package host_test

import (
	"context"
	"fmt"

	"github.com/llenergymeasure/llem/internal/host"
)

// The snapshot is taken before a study, and its doubts are shown to the user.
func Example() {
	s, err := host.Collect(context.Background(), host.Options{GPUs: []host.GPU{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, w := range host.Warnings(s) {
		_ = w.Message
	}
	fmt.Println(host.CPUThreads(s) >= 1, len(s.GPUs))
	// Output: true 0
}
