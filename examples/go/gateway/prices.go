package main

import (
	"context"
	"log"
	"math"
	"math/rand"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	waiting = 16               // boards that may wait for a client until it is dropped
	stable  = 10 * time.Second // that a connection has to last for the waits to start over
)

// client is somebody who is sent every board.
type client struct {
	conn  *websocket.Conn
	queue chan *websocket.PreparedMessage
}

// board is the newest prices, and who is sent them.
type board struct {
	mu      sync.Mutex
	newest  *websocket.PreparedMessage // nil while there is no connection to the price server
	clients map[*client]bool
}

func newBoard() *board {
	return &board{clients: map[*client]bool{}}
}

// follow keeps one connection to the price server, until it is told to end.
func (b *board) follow(ctx context.Context, url string, header http.Header) {
	random := rand.New(rand.NewSource(time.Now().UnixNano()))
	for failures := 0; ; failures++ {
		began := time.Now()
		err := b.read(ctx, url, header)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= stable {
			failures = 0
		}
		wait := backoff(failures, random)
		log.Printf("no prices: %v; again in %.1f s", err, wait.Seconds())
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// read sends on what the price server sends, until the connection ends, and returns why it did.
func (b *board) read(ctx context.Context, url string, header http.Header) error {
	conn, err := dial(ctx, url, header)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-ctx.Done():
			part(conn, websocket.CloseNormalClosure, "", ended)
		case <-ended:
			conn.Close()
		}
	}()
	defer b.publish(nil) // who comes next is not shown old prices as if they were new
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		message, err := websocket.NewPreparedMessage(kind, data) // one frame for all
		if err != nil {
			return err
		}
		b.publish(message)
	}
}

// publish sends a board to each client, and drops those that are too far behind; nil is that there is none now.
func (b *board) publish(message *websocket.PreparedMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest = message
	if message == nil {
		return
	}
	for each := range b.clients {
		select {
		case each.queue <- message:
		default:
			log.Printf("dropped %s, which does not read", each.conn.RemoteAddr())
			delete(b.clients, each)
			each.conn.Close() // at once: a good-bye would wait behind all the rest
		}
	}
}

// serve sends boards to a client until either ends. What it sends is of no interest.
func (b *board) serve(ctx context.Context, conn *websocket.Conn) {
	me := &client{conn, make(chan *websocket.PreparedMessage, waiting)}
	b.mu.Lock()
	if b.newest != nil {
		me.queue <- b.newest
	}
	b.clients[me] = true
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.clients, me)
		b.mu.Unlock()
	}()

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, _, err := conn.NextReader(); err != nil {
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			part(conn, websocket.CloseServiceRestart, "the gateway stops", ended)
			return
		case <-ended:
			return
		case message := <-me.queue:
			conn.SetWriteDeadline(time.Now().Add(writeLimit))
			if err := conn.WritePreparedMessage(message); err != nil {
				return
			}
		}
	}
}

// dial connects to the server, and sees to it that reading ends when the server is silent for long.
func dial(ctx context.Context, url string, header http.Header) (*websocket.Conn, error) {
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	conn, response, err := dialer.DialContext(ctx, url, header)
	if err != nil {
		if response != nil {
			log.Printf("%s answers %s", url, response.Status)
		}
		return nil, err
	}
	conn.SetReadLimit(maxMessage)
	conn.SetReadDeadline(time.Now().Add(silence))
	answer := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { // the server pings every 7 seconds
		conn.SetReadDeadline(time.Now().Add(silence))
		return answer(data)
	})
	return conn, nil
}

// backoff returns how long to wait after so many failures: full jitter, of 0.2 to 20 seconds.
func backoff(failures int, random *rand.Rand) time.Duration {
	bound := math.Min(20, math.Pow(1.6, float64(failures)))
	least := math.Max(0.2, bound/8)
	return time.Duration((least + random.Float64()*(bound-least)) * float64(time.Second))
}
