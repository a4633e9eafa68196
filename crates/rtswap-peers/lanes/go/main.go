// The lanes in Go, by its own packages: a goroutine for each connection, and net/http.
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type order struct {
	Order    string `json:"order"`
	Workload string `json:"workload"`
	Cpus     []int  `json:"cpus"`
	DelayNs  uint64 `json:"delay_ns"`
	Addr     string `json:"addr"`
	Ms       int64  `json:"ms"`
}

type refusal struct{ status, reason string }

func (r refusal) Error() string { return r.reason }

func refuse(status, format string, args ...any) error {
	return refusal{status, fmt.Sprintf(format, args...)}
}

type fields map[string]any

func say(answer string, more fields) {
	line := fields{"answer": answer}
	for key, value := range more {
		line[key] = value
	}
	bytes, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(bytes, '\n'))
}

func listen(addr string) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	// No keep-alive: its timers would run while other lanes work.
	config := net.ListenConfig{KeepAlive: -1}
	// Plain TCP, as all lanes have: since 1.24 multipath TCP is what Go listens for.
	config.SetMultipathTCP(false)
	config.Control = func(_, _ string, conn syscall.RawConn) error {
		return conn.Control(func(fd uintptr) {
			syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
			// A container may allow another one only.
			syscall.SetsockoptString(int(fd), syscall.IPPROTO_TCP, syscall.TCP_CONGESTION, "reno")
		})
	}
	listener, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, refuse("failed", "cannot listen on %s: %v", addr, err)
	}
	// Package net takes the backlog from the machine (net.core.somaxconn); the second call changes it.
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { syscall.Listen(int(fd), 1024) })
	}
	return listener, err
}

func echo(listener net.Listener, bufferBytes int) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			// No descriptor left, for example. Clients that connect meanwhile wait.
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go func() {
			defer conn.Close()
			buffer := make([]byte, bufferBytes)
			for {
				read, err := conn.Read(buffer)
				if err != nil {
					return
				}
				if _, err := conn.Write(buffer[:read]); err != nil {
					return
				}
			}
		}()
	}
}

func large() []byte {
	bytes, state := make([]byte, 65536), uint64(0x727473776170)
	for at := 0; at < len(bytes); at += 8 {
		state += 0x9e3779b97f4a7c15
		word := (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9
		word = (word ^ (word >> 27)) * 0x94d049bb133111eb
		binary.LittleEndian.PutUint64(bytes[at:], word^(word>>31))
	}
	return bytes
}

func web() http.Handler {
	answer := func(contentType string, body func() []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			bytes, header := body(), w.Header()
			header.Set("Content-Type", contentType)
			header.Set("Content-Length", strconv.Itoa(len(bytes)))
			header.Set("Server", "go")
			w.Write(bytes)
		}
	}
	image, hello := large(), []byte("Hello, World!")
	mux := http.NewServeMux()
	mux.Handle("/plaintext", answer("text/plain", func() []byte { return hello }))
	mux.Handle("/json", answer("application/json", func() []byte {
		bytes, _ := json.Marshal(struct {
			Message string `json:"message"`
		}{"Hello, World!"})
		return bytes
	}))
	mux.Handle("/64KiB", answer("application/octet-stream", func() []byte { return image }))
	return mux
}

// A batch: that many sleeps at once, none of which may end early, or much out of order.
func sleeps(tasks, ms int, order *sleepOrder) (int64, error) {
	asked := func(number int) time.Duration { return time.Duration(ms+number%lengths) * time.Millisecond }
	slept, at := make([]time.Duration, tasks), make([]time.Duration, tasks)
	begin := time.Now()
	var all sync.WaitGroup
	all.Add(tasks)
	for number := 0; number < tasks; number++ {
		go func(number int) {
			defer all.Done()
			start := time.Now()
			time.Sleep(asked(number))
			slept[number], at[number] = time.Since(start), time.Since(begin)
		}(number)
	}
	all.Wait()
	var firsts []time.Duration
	for number := range slept {
		if slept[number] < asked(number) {
			return 0, refuse("invalid", "a sleep of %v ended after %v", asked(number), slept[number])
		}
		if number < lengths {
			firsts = append(firsts, at[number])
		}
		firsts[number%lengths] = min(firsts[number%lengths], at[number])
	}
	if err := order.check(firsts); err != nil {
		return 0, refuse("invalid", "%v", err)
	}
	return int64(tasks), nil
}

type batch func() (int64, error)

func prepare(peer string, o order) (fields, batch, error) {
	family, rest, _ := strings.Cut(o.Workload, "/")
	params := map[string]int{}
	for _, param := range strings.Split(rest, "/") {
		name, value, _ := strings.Cut(param, "=")
		params[name], _ = strconv.Atoi(value)
	}
	known := "tcp-echo, idle, churn, sleep"
	if peer == "go-http" {
		known = "http"
	}
	if !strings.Contains(", "+known+",", ", "+family+",") {
		return nil, nil, refuse("unsupported", "no `%s` here, only %s", family, known)
	}
	if strings.HasSuffix(rest, "h2=true") {
		return nil, nil, refuse("unsupported", "this lane serves HTTP/1.1 alone")
	}
	if strings.HasSuffix(rest, "buffer=none") {
		return nil, nil, refuse("unsupported", "buffer=none: a connection holds its buffer while it waits")
	}
	if strings.HasSuffix(rest, "buffer=exact") {
		return nil, nil, refuse("unsupported", "buffer=exact: a peer reads into a longer buffer")
	}
	if o.DelayNs > 0 {
		return nil, nil, refuse("unsupported", "a peer cannot be slowed down")
	}
	runtime.GOMAXPROCS(len(o.Cpus))
	notes := fields{"arch": runtime.GOARCH}
	ready := fields{"info": fields{
		"runtime": "go", "version": strings.TrimPrefix(runtime.Version(), "go"), "driver": "epoll",
		"workers": runtime.GOMAXPROCS(0), "shards": 1, "notes": notes,
	}}
	if family == "sleep" {
		order := &sleepOrder{ms: params["ms"]}
		return ready, func() (int64, error) { return sleeps(params["tasks"], params["ms"], order) }, nil
	}
	listener, err := listen(o.Addr)
	if err != nil {
		return nil, nil, err
	}
	ready["addr"] = listener.Addr().String()
	if family == "http" {
		notes["api"] = "net/http"
		go http.Serve(listener, web())
	} else {
		notes["api"] = "net, a goroutine for each connection"
		// Room for a message and a little, as the lanes in Rust have it.
		bufferBytes := 4 << 10
		for bufferBytes <= params["size"] && bufferBytes < 64<<10 {
			bufferBytes *= 2
		}
		go echo(listener, bufferBytes)
	}
	return ready, nil, nil
}

func slice(do batch, window time.Duration) (fields, error) {
	begin, ops := time.Now(), int64(0)
	for time.Since(begin) < window {
		done, err := do()
		if err != nil {
			return nil, err
		}
		ops += done
	}
	return fields{"ops": ops, "elapsed_ns": time.Since(begin).Nanoseconds()}, nil
}

func converse(peer string) error {
	var do batch
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return refuse("failed", "not an order: %v", err)
		}
		switch {
		case o.Order == "prepare":
			ready, drives, err := prepare(peer, o)
			if err != nil {
				return err
			}
			do = drives
			say("ready", ready)
		case o.Order == "slice" && do != nil:
			done, err := slice(do, time.Duration(o.Ms)*time.Millisecond)
			if err != nil {
				return err
			}
			say("slice", done)
		case o.Order == "stop":
			say("stopped", nil)
			return nil
		default:
			return refuse("failed", "cannot do %s here", o.Order)
		}
	}
	return lines.Err()
}

func main() {
	if err := converse(os.Args[1]); err != nil {
		status := "failed"
		if known, ok := err.(refusal); ok {
			status = known.status
		}
		say("failed", fields{"status": status, "reason": err.Error()})
	}
}
