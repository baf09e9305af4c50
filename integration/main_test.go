package integration

import (
	"fmt"
	"os"
	"testing"
)

// shop holds what several tests need and is made only once. TestMain sets
// it; afterwards it is only read.
var shop *workshop

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

// run is TestMain with deferred calls that os.Exit would skip.
func run(m *testing.M) int {
	var err error
	shop, err = openWorkshop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "prepare tests: %v\n", err)
		return 1
	}
	defer shop.close()
	return m.Run()
}
