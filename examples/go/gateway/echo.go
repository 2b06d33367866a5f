package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
)

// pass connects a client with a service of the server, and hands on what each of them says, and how it ends.
func pass(ctx context.Context, conn *websocket.Conn, url string, header http.Header) {
	upstream, err := dial(ctx, url, header)
	if err != nil {
		log.Printf("a client of %s is sent away: %v", url, err)
		ended := make(chan struct{})
		go func() { defer close(ended); conn.ReadMessage() }()
		part(conn, websocket.CloseTryAgainLater, "the service cannot be reached", ended)
		return
	}
	defer upstream.Close()

	there, back := make(chan struct{}), make(chan struct{})
	var sent, heard error // why each way ended
	go func() { defer close(there); sent = pump(upstream, conn) }()
	go func() { defer close(back); heard = pump(conn, upstream) }()
	select {
	case <-ctx.Done():
		part(conn, websocket.CloseServiceRestart, "the gateway stops", there)
		part(upstream, websocket.CloseNormalClosure, "", back)
	case <-there:
		code, reason := farewell(sent, websocket.CloseNormalClosure)
		part(upstream, code, reason, back)
	case <-back:
		code, reason := farewell(heard, websocket.CloseTryAgainLater)
		part(conn, code, reason, there)
	}
}

// pump hands on what one says to the other, until either is gone.
func pump(to, from *websocket.Conn) error {
	for {
		kind, data, err := from.ReadMessage()
		if err != nil {
			return err
		}
		to.SetWriteDeadline(time.Now().Add(writeLimit))
		if err := to.WriteMessage(kind, data); err != nil {
			return err
		}
	}
}

// farewell returns what to tell the other one: what was said, or a code for that nothing was.
func farewell(err error, otherwise int) (int, string) {
	var said *websocket.CloseError
	if errors.As(err, &said) && said.Code != websocket.CloseAbnormalClosure {
		return said.Code, said.Text
	}
	return otherwise, ""
}
