// absolute: a connection that makes its one request's target absolute, as forward mode wants it. net/http and client-go can
// write https:// targets only in origin-form, inside a TLS of their own.
package main

import (
	"bytes"
	"fmt"
	"net"
)

// absoluteConn carries one request. What is written up to the end of the request line is held back and rewritten; all
// else passes as it is.
type absoluteConn struct {
	net.Conn
	origin string // https://HOST:PORT
	line   []byte
	begun  bool
}

func (a *absoluteConn) Write(p []byte) (int, error) {
	if a.begun {
		return a.Conn.Write(p)
	}
	a.line = append(a.line, p...)
	end := bytes.Index(a.line, []byte("\r\n"))
	if end < 0 {
		return len(p), nil
	}
	method, rest, ok := bytes.Cut(a.line, []byte(" /"))
	if !ok || len(method) > end {
		return 0, fmt.Errorf("not a request line in origin-form: %q", a.line[:end])
	}
	if _, err := fmt.Fprintf(a.Conn, "%s %s/%s", method, a.origin, rest); err != nil {
		return 0, err
	}
	a.begun, a.line = true, nil
	return len(p), nil
}
