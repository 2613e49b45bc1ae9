package main

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What the test wants to see, and how the server is to misbehave:
//
//	/counts                           METHOD PATH STATUS COUNT, a line each
//	/wrong                            what the broker should not have said, a line each
//	/connections                      how many there were
//	/leases                           all of them
//	/lease?name=N&age=40s&label=a=b   makes one
//	/fail?times=N&status=S[&after=S]  the next N requests are answered so, with Retry-After
//	/delay?ms=N                       every request takes so long
//	/hang?on=true                     no request is answered
//	/garbage?on=true                  every answer is no JSON
type misbehaviour struct {
	times, status int
	after         string
	delay         time.Duration
	hang, garbage bool
}

var (
	watch       sync.Mutex
	wish        misbehaviour
	counts      = map[string]int{}
	wrong       []string
	connections int
)

func noteWrong(what string) {
	watch.Lock()
	defer watch.Unlock()
	wrong = append(wrong, what)
}

func noteConn(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		watch.Lock()
		connections++
		watch.Unlock()
	}
}

type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{w, http.StatusOK}
		next.ServeHTTP(rec, r)
		watch.Lock()
		defer watch.Unlock()
		counts[fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, rec.status)]++
	})
}

// misbehaves does what was wished for. True: the request is answered.
func misbehaves(w http.ResponseWriter, r *http.Request) bool {
	watch.Lock()
	now := wish
	if wish.times > 0 {
		wish.times--
	}
	watch.Unlock()
	if now.hang {
		<-r.Context().Done()
		return true
	}
	time.Sleep(now.delay)
	if now.garbage {
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "<html>not what you expect</html>")
		return true
	}
	if now.times == 0 {
		return false
	}
	if now.after != "" {
		w.Header().Set("Retry-After", now.after)
	}
	w.WriteHeader(now.status)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"as the test wants it","code":%d}`, now.status)
	return true
}

func serveControl(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	number := func(name string) int {
		n, _ := strconv.Atoi(query.Get(name))
		return n
	}
	if r.URL.Path == "/leases" {
		printLeases(w)
		return
	}
	if r.URL.Path == "/lease" {
		age, err := time.ParseDuration(query.Get("age"))
		if err == nil {
			err = addLease(query.Get("name"), age, query.Get("label"))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
		return
	}
	watch.Lock()
	defer watch.Unlock()
	switch r.URL.Path {
	case "/counts":
		var lines []string
		for what, n := range counts {
			lines = append(lines, fmt.Sprintf("%s %d", what, n))
		}
		slices.Sort(lines)
		fmt.Fprintln(w, strings.Join(lines, "\n"))
	case "/wrong":
		fmt.Fprint(w, strings.Join(wrong, "\n"))
	case "/connections":
		fmt.Fprintln(w, connections)
	case "/fail":
		wish.times, wish.status, wish.after = number("times"), number("status"), query.Get("after")
	case "/delay":
		wish.delay = time.Duration(number("ms")) * time.Millisecond
	case "/hang":
		wish.hang = query.Get("on") == "true"
	case "/garbage":
		wish.garbage = query.Get("on") == "true"
	default:
		http.NotFound(w, r)
	}
}
