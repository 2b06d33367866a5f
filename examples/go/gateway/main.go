// Command gateway stands between browsers and the services of an rtwidgets server.
//
//	gateway -listen 127.0.0.1:8090 -upstream ws://127.0.0.1:8080
//
// At /prices all clients share one connection to the price server: what it sends is sent on to each of them,
// and who does not read is dropped. At /echo each client has a connection of its own, which is passed through.
//
// The server's token is taken from the variable RTWIDGETS_TOKEN. Clients show none, so the gateway listens on
// this machine only, and takes pages of this machine only. SIGTERM and Ctrl-C end it: clients are told with 1012.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const (
	pingEvery  = 7 * time.Second
	silence    = 15 * time.Second // after which a link is dead, as nobody has answered a ping or sent one
	writeLimit = 5 * time.Second  // for one write to a client
	partLimit  = time.Second      // for the answer to a good-bye
	maxMessage = 1 << 20          // bytes; the server's own limit is below it
)

var upgrader = websocket.Upgrader{HandshakeTimeout: 10 * time.Second, CheckOrigin: fromHere}

func main() {
	log.SetFlags(log.Ltime)
	listen := flag.String("listen", "127.0.0.1:8090", "`address` to listen on, of this machine only")
	upstream := flag.String("upstream", "ws://127.0.0.1:8080", "`URL` of the rtwidgets server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, strings.TrimRight(*upstream, "/")); err != nil {
		log.Fatal(err)
	}
}

// run serves until it is told to end, and then until all clients are gone.
func run(ctx context.Context, listen, upstream string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || !isLoopback(host) {
		return fmt.Errorf("-listen %s: clients show no token, so give an address of this machine, as 127.0.0.1:8090", listen)
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	header := http.Header{}
	if token := os.Getenv("RTWIDGETS_TOKEN"); token != "" {
		header.Set("Authorization", "Bearer "+token)
	}

	board := newBoard()
	clients := &sync.WaitGroup{}
	mux := http.NewServeMux()
	mux.HandleFunc("/prices", upgraded(ctx, clients, board.serve))
	mux.HandleFunc("/echo", upgraded(ctx, clients, func(ctx context.Context, conn *websocket.Conn) {
		pass(ctx, conn, upstream+"/echo", header)
	}))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "Nothing is served here; there is: /prices, /echo", http.StatusNotFound)
	})

	clients.Add(1)
	go func() {
		defer clients.Done()
		board.follow(ctx, upstream+"/prices", header)
	}()
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	fmt.Printf("listening on ws://%s\n", listener.Addr())

	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(ending); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	clients.Wait() // each has partLimit to answer
	log.Print("stopped")
	return nil
}

// upgraded makes a handler of what talks with a client over its WebSocket until either of them ends.
func upgraded(
	ctx context.Context, clients *sync.WaitGroup, talk func(context.Context, *websocket.Conn),
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		clients.Add(1)
		defer clients.Done()
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // it has answered
		}
		defer conn.Close()
		conn.SetReadLimit(maxMessage)
		conn.SetReadDeadline(time.Now().Add(silence))
		conn.SetPongHandler(func(string) error { return conn.SetReadDeadline(time.Now().Add(silence)) })
		talking, end := context.WithCancel(ctx)
		defer end()
		go ping(talking, conn)
		talk(ctx, conn)
	}
}

// ping asks a client again and again whether it is alive; its reading ends when no answer comes.
func ping(ctx context.Context, conn *websocket.Conn) {
	ticker := time.NewTicker(pingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeLimit))
		}
	}
}

// part says good-bye, and cuts the connection if its peer has not ended it in a while.
func part(conn *websocket.Conn, code int, reason string, ended <-chan struct{}) {
	message := websocket.FormatCloseMessage(code, reason)
	conn.WriteControl(websocket.CloseMessage, message, time.Now().Add(partLimit))
	select {
	case <-ended:
	case <-time.After(partLimit):
	}
	conn.Close()
}

// fromHere tells whether a request is of no web page, or of one from a file or from this machine.
func fromHere(r *http.Request) bool {
	for _, origin := range r.Header["Origin"] {
		if origin == "null" || origin == "file://" {
			continue
		}
		if page, err := url.Parse(origin); err != nil || !isLoopback(page.Hostname()) {
			return false
		}
	}
	return true
}

func isLoopback(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || net.ParseIP(host).IsLoopback()
}
