package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// get makes one request and prints the status, a newline and the body.
func get(args []string) error {
	flags := flag.NewFlagSet("get", flag.ContinueOnError)
	method := flags.String("X", http.MethodGet, "method")
	file := flags.String("d", "", "file to send as the body")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var body io.Reader
	if *file != "" {
		f, err := os.Open(*file)
		if err != nil {
			return err
		}
		defer f.Close()
		body = f
	}
	request, err := http.NewRequest(*method, flags.Arg(0), body)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	fmt.Println(answer.StatusCode)
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

// resolve looks a name up with Go's own resolver.
func resolve(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resolver := &net.Resolver{PreferGo: true}
	addresses, err := resolver.LookupHost(ctx, args[0])
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(addresses, "\n"))
	return nil
}

// attempts appends a line to a file for each request: when it began (Unix
// nanoseconds) and "ok" or the errno. It ends only by a signal.
func attempts(args []string) error {
	file, err := os.OpenFile(args[0], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	client := &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true},
		Timeout:   5 * time.Second,
	}
	for {
		began := time.Now().UnixNano()
		answer, err := client.Get(args[1])
		if err == nil {
			answer.Body.Close()
		}
		if _, err := fmt.Fprintln(file, began, errnoName(err)); err != nil {
			return err
		}
	}
}

// requests makes N requests, one after another, and prints how many
// nanoseconds one took on average. Without -keepalive each has a connection
// of its own.
func requests(args []string) error {
	flags := flag.NewFlagSet("requests", flag.ContinueOnError)
	keepalive := flags.Bool("keepalive", false, "use one connection for all")
	if err := flags.Parse(args); err != nil {
		return err
	}
	n, err := strconv.Atoi(flags.Arg(0))
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: !*keepalive}}
	if err := once(client, flags.Arg(1)); err != nil { // not measured: roots, resolver, first leaf
		return err
	}
	began := time.Now()
	for range n {
		if err := once(client, flags.Arg(1)); err != nil {
			return err
		}
	}
	fmt.Println(time.Since(began).Nanoseconds() / int64(n))
	return nil
}

// once makes one request and reads the whole answer.
func once(client *http.Client, url string) error {
	answer, err := client.Get(url)
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

// events reads the events of a page that sends one when the one before was
// acknowledged, and acknowledges each.
func events(args []string) error {
	answer, err := http.Get(args[0] + "/http/steps")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if lines.Text() == "" {
			continue
		}
		fmt.Println(lines.Text())
		if err := once(http.DefaultClient, args[0]+"/http/step"); err != nil {
			return err
		}
	}
	return lines.Err()
}

// lateness reads events that say when they were sent, and prints by how many
// nanoseconds they came later, in the middle.
func lateness(args []string) error {
	answer, err := http.Get(args[0])
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var late []int64
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		now := time.Now().UnixNano()
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		sent, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return err
		}
		late = append(late, now-sent)
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if len(late) == 0 {
		return errors.New("no event came")
	}
	slices.Sort(late)
	fmt.Println(late[len(late)/2])
	return nil
}
