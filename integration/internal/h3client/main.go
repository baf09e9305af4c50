// Command h3client asks for a page by HTTP/3 and, where that fails, by TCP, as
// browsers do. It prints how many milliseconds the failure took, and the page.
//
//	h3client URL
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/quic-go/quic-go/http3"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintf(os.Stderr, "h3client: %v\n", err)
		os.Exit(1)
	}
}

// run makes the two requests.
func run(url string) error {
	began := time.Now()
	transport := &http3.Transport{}
	defer transport.Close()
	answer, err := (&http.Client{Transport: transport}).Get(url)
	if err == nil {
		answer.Body.Close()
		return fmt.Errorf("HTTP/3 answered %s", answer.Status)
	}
	fmt.Println(time.Since(began).Milliseconds())
	if answer, err = http.Get(url); err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}
