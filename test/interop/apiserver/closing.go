// closing: whether a TLS connection was ended or cut. Go's own TLS reads a cut between two records as an end, so the records
// are watched below it: in TLS 1.2 their types are in the clear, and an end has an alert as its last one.
package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
)

const (
	recordHeader = 5
	recordAlert  = 21
)

// recordWatch notes the type of the last record that was read.
type recordWatch struct {
	net.Conn
	head []byte // of the record that begins
	rest int    // bytes of the record that are still to come
	last byte
}

func (r *recordWatch) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	for seen := p[:n]; len(seen) > 0; {
		if r.rest > 0 {
			skip := min(r.rest, len(seen))
			r.rest -= skip
			seen = seen[skip:]
			continue
		}
		take := min(recordHeader-len(r.head), len(seen))
		r.head, seen = append(r.head, seen[:take]...), seen[take:]
		if len(r.head) == recordHeader {
			r.last, r.rest = r.head[0], int(binary.BigEndian.Uint16(r.head[3:]))
			r.head = r.head[:0]
		}
	}
	return n, err
}

var errCut = errors.New("cut: the connection is over and nobody said so in TLS")

// ending turns what the end of reading looks like in Go into what it was: nil only after a proper end.
func (r *recordWatch) ending(err error) error {
	if (err == nil || errors.Is(err, io.EOF)) && r.last != recordAlert {
		return errCut
	}
	return err
}
