package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

// flood starts PROCESSES copies of itself that make REQUESTS requests each,
// prints "done" and waits until standard input ends.
func flood(args []string) error {
	processes, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	errs := make([]error, processes)
	var running sync.WaitGroup
	for i := range processes {
		running.Go(func() {
			worker := exec.Command("/proc/self/exe", append([]string{"flood-one"}, args[1:]...)...)
			worker.Stderr = os.Stderr
			errs[i] = worker.Run()
		})
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Println("done")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// floodOne makes REQUESTS requests to the hosts in turn, each on a new
// connection and each for a path that says who asks: /PID/NUMBER/HOST.
func floodOne(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	hosts := args[1:]
	addresses := make([]string, len(hosts))
	for i, host := range hosts {
		found, err := net.LookupHost(host)
		if err != nil {
			return err
		}
		addresses[i] = net.JoinHostPort(found[0], "80")
	}
	for i := range n {
		host := hosts[i%len(hosts)]
		path := fmt.Sprintf("/%d/%d/%s", os.Getpid(), i, host)
		if err := plain(addresses[i%len(hosts)], host, path); err != nil {
			return fmt.Errorf("request %s: %w", path, err)
		}
	}
	return nil
}

// plain makes one request on a connection of its own.
func plain(address, host, path string) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}
