package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	authv1 "k8s.io/api/authentication/v1"
	coordv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	reviewsPath = "/apis/authentication.k8s.io/v1/tokenreviews"
	leasesPath  = "/apis/coordination.k8s.io/v1/namespaces/"
)

func answer(w http.ResponseWriter, status int, object runtime.Object) {
	var body bytes.Buffer
	if err := strict.Encode(object, &body); err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}

// refuse answers with the Status that the error is, as kube-apiserver does.
func refuse(w http.ResponseWriter, err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		status = apierrors.NewInternalError(err)
	}
	s := status.Status()
	s.Kind, s.APIVersion = "Status", "v1"
	answer(w, int(s.Code), &s)
}

// read decodes the body as Kubernetes does where it is strict: an unknown or repeated field is an error.
func read(r *http.Request, into runtime.Object) error {
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		return apierrors.NewBadRequest(fmt.Sprintf("content-type %q", got))
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 3<<20))
	if err != nil {
		return apierrors.NewBadRequest(err.Error())
	}
	object, kind, err := strict.Decode(body, nil, into)
	if err != nil {
		noteWrong(err.Error())
		return apierrors.NewBadRequest(err.Error())
	}
	if object != into {
		noteWrong("a body of kind " + kind.String())
		return apierrors.NewBadRequest("kind " + kind.String())
	}
	return nil
}

func serve(w http.ResponseWriter, r *http.Request) {
	if !isLetIn(r) {
		refuse(w, apierrors.NewUnauthorized("Unauthorized"))
		return
	}
	if misbehaves(w, r) {
		return
	}
	if accept := r.Header.Get("Accept"); accept != "application/json" {
		noteWrong("accept " + accept)
	}
	switch rest, isLeases := strings.CutPrefix(r.URL.Path, leasesPath); {
	case r.URL.Path == reviewsPath && r.Method == http.MethodPost:
		review(w, r)
	case isLeases:
		namespace, rest, _ := strings.Cut(rest, "/")
		name, isOne := strings.CutPrefix(rest, "leases/")
		switch {
		case isOne && name != "":
			serveLeases(w, r, namespace, name)
		case rest == "leases":
			serveLeases(w, r, namespace, "")
		default:
			noteWrong(r.Method + " " + r.URL.Path)
			http.NotFound(w, r)
		}
	default:
		noteWrong(r.Method + " " + r.URL.Path)
		http.NotFound(w, r)
	}
}

// review judges as kube-apiserver's authenticators do: audiences are those of the token that were asked for.
func review(w http.ResponseWriter, r *http.Request) {
	var tr authv1.TokenReview
	if err := read(r, &tr); err != nil {
		refuse(w, err)
		return
	}
	tr.Status.Error = "[invalid bearer token, token lookup failed]"
	file, err := os.Open(*tokens)
	if err != nil {
		refuse(w, err)
		return
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[0] != tr.Spec.Token {
			continue
		}
		audiences := strings.Split(fields[2], ",")
		var both []string
		for _, want := range tr.Spec.Audiences {
			if slices.Contains(audiences, want) {
				both = append(both, want)
			}
		}
		if fields[2] == "=" { // an authenticator that answers for another audience than was asked for
			both = []string{"https://kubernetes.default.svc"}
		}
		if len(both) > 0 || fields[2] == "-" {
			tr.Status = authv1.TokenReviewStatus{Authenticated: true, Audiences: both, User: authv1.UserInfo{Username: fields[1]}}
		} else {
			tr.Status.Error = fmt.Sprintf("[token audiences %q is invalid for the target audiences %q]", audiences, tr.Spec.Audiences)
		}
	}
	tr.Spec.Token = ""
	answer(w, http.StatusCreated, &tr)
}

func kindOf(lease *coordv1.Lease) *coordv1.Lease {
	lease.TypeMeta = metav1.TypeMeta{Kind: "Lease", APIVersion: "coordination.k8s.io/v1"}
	return lease
}
