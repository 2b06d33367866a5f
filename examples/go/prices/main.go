// Command prices follows the board of a price server, in rtwidgets' plain dialect, and prints a line for each.
//
//	prices ws://127.0.0.1:8080/prices
//
// The token is taken from the variable RTWIDGETS_TOKEN, or from the URL's ?token=. After a break it connects
// again; Ctrl-C ends it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"math/rand"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

const (
	silence = 15 * time.Second // after which a link is dead: the server pings every 7 seconds
	stable  = 10 * time.Second // that a connection has to last for the waits to start over
)

// errRefused is an answer to the handshake that will be the same next time.
var errRefused = errors.New("refused")

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: prices ws://HOST:PORT/prices")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	random := rand.New(rand.NewSource(time.Now().UnixNano()))
	for failures := 0; ; failures++ {
		began := time.Now()
		err := follow(ctx, os.Args[1], os.Getenv("RTWIDGETS_TOKEN"))
		if ctx.Err() != nil {
			return
		}
		if errors.Is(err, errRefused) {
			log.Fatal(err)
		}
		if time.Since(began) >= stable {
			failures = 0
		}
		wait := backoff(failures, random)
		log.Printf("lost: %v; again in %.1f s", err, wait.Seconds())
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// follow prints the boards of one connection until it ends, and returns why.
func follow(ctx context.Context, url, token string) error {
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second}
	conn, response, err := dialer.DialContext(ctx, url, header)
	if err != nil {
		if response != nil && response.StatusCode >= 400 && response.StatusCode < 500 {
			body, _ := io.ReadAll(response.Body) // its beginning, as far as it was kept
			return fmt.Errorf("%w: %s: %s", errRefused, response.Status, strings.TrimSpace(string(body)))
		}
		return err
	}
	defer conn.Close()

	// Say good-bye when told to; the server's answer ends the reading below.
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-ctx.Done():
			goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
			conn.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(time.Second))
			time.AfterFunc(time.Second, func() { conn.Close() })
		case <-done:
		}
	}()

	// A ping shows that the server is alive, as a message does.
	alive := func() { conn.SetReadDeadline(time.Now().Add(silence)) }
	answer := conn.PingHandler()
	conn.SetPingHandler(func(data string) error {
		alive()
		return answer(data)
	})
	for {
		alive()
		_, data, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		var board map[string]float64
		if err := json.Unmarshal(data, &board); err != nil {
			log.Printf("no board of prices: %s", data)
			continue
		}
		fmt.Println(line(board))
	}
}

// line returns a board as one line, in the order of its symbols.
func line(board map[string]float64) string {
	parts := make([]string, 0, len(board))
	for symbol, price := range board {
		parts = append(parts, fmt.Sprintf("%s %.2f", symbol, price))
	}
	sort.Strings(parts)
	return strings.Join(parts, "  ")
}

// backoff returns how long to wait after so many failures: full jitter, of 0.2 to 20 seconds.
func backoff(failures int, random *rand.Rand) time.Duration {
	bound := math.Min(20, math.Pow(1.6, float64(failures)))
	least := math.Max(0.2, bound/8)
	return time.Duration((least + random.Float64()*(bound-least)) * float64(time.Second))
}
