package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	coordv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/apiserver-network-proxy/pkg/util"
)

var (
	mu      sync.Mutex
	stored  = map[string]*coordv1.Lease{} // by namespace/name
	version int
	group   = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}
)

// store keeps it under a new version. With mu held.
func store(key string, lease *coordv1.Lease) *coordv1.Lease {
	version++
	lease.ResourceVersion = strconv.Itoa(version)
	lease.UID = types.UID("uid-" + key)
	stored[key] = kindOf(lease)
	return lease
}

// complaint is what kube-apiserver's validation of a Lease would say.
func complaint(lease *coordv1.Lease) error {
	switch spec := lease.Spec; {
	case spec.LeaseDurationSeconds == nil || *spec.LeaseDurationSeconds <= 0:
		return apierrors.NewBadRequest("spec.leaseDurationSeconds must be greater than 0")
	case spec.HolderIdentity == nil || *spec.HolderIdentity == "":
		return apierrors.NewBadRequest("spec.holderIdentity must not be empty")
	case spec.RenewTime == nil || time.Since(spec.RenewTime.Time).Abs() > 5*time.Second:
		return apierrors.NewBadRequest(fmt.Sprintf("spec.renewTime is not now: %v", spec.RenewTime))
	}
	return nil
}

func serveLeases(w http.ResponseWriter, r *http.Request, namespace, name string) {
	mu.Lock()
	defer mu.Unlock()
	key := namespace + "/" + name
	before := stored[key]
	switch {
	case r.Method == http.MethodGet && name == "":
		list(w, r, namespace)
	case r.Method == http.MethodPost && name == "":
		create(w, r, namespace)
	case before == nil:
		refuse(w, apierrors.NewNotFound(group, name))
	case r.Method == http.MethodGet:
		answer(w, http.StatusOK, before)
	case r.Method == http.MethodPut:
		update(w, r, key, before)
	case r.Method == http.MethodDelete:
		remove(w, r, key, before)
	default:
		noteWrong(r.Method + " " + r.URL.Path)
		refuse(w, apierrors.NewMethodNotSupported(group, r.Method))
	}
}

func list(w http.ResponseWriter, r *http.Request, namespace string) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		refuse(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	result := coordv1.LeaseList{TypeMeta: metav1.TypeMeta{Kind: "LeaseList", APIVersion: "coordination.k8s.io/v1"}}
	for key, lease := range stored {
		if strings.HasPrefix(key, namespace+"/") && selector.Matches(labels.Set(lease.Labels)) {
			result.Items = append(result.Items, *lease)
		}
	}
	answer(w, http.StatusOK, &result)
}

func create(w http.ResponseWriter, r *http.Request, namespace string) {
	var lease coordv1.Lease
	err := read(r, &lease)
	key := namespace + "/" + lease.Name
	switch {
	case err != nil:
	case stored[key] != nil:
		err = apierrors.NewAlreadyExists(group, lease.Name)
	default:
		err = complaint(&lease)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	lease.Namespace = namespace
	answer(w, http.StatusCreated, store(key, &lease))
}

func update(w http.ResponseWriter, r *http.Request, key string, before *coordv1.Lease) {
	var lease coordv1.Lease
	err := read(r, &lease)
	switch {
	case err != nil:
	case lease.Name != before.Name || lease.Namespace != before.Namespace:
		err = apierrors.NewBadRequest("the name of the object does not match the name on the URL")
	case lease.ResourceVersion != before.ResourceVersion:
		err = apierrors.NewConflict(group, lease.Name, fmt.Errorf("the object has been modified"))
	default:
		err = complaint(&lease)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, store(key, &lease))
}

func remove(w http.ResponseWriter, r *http.Request, key string, before *coordv1.Lease) {
	if r.ContentLength != 0 {
		var options metav1.DeleteOptions
		if err := read(r, &options); err != nil {
			refuse(w, err)
			return
		}
		if p := options.Preconditions; p != nil && p.ResourceVersion != nil && *p.ResourceVersion != before.ResourceVersion {
			refuse(w, apierrors.NewConflict(group, before.Name, fmt.Errorf("the ResourceVersion in the precondition does not match")))
			return
		}
	}
	delete(stored, key)
	answer(w, http.StatusOK, &metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
}

// The control's part.

// printLeases: a line for each, and whether the proxy-server's own code takes it for valid.
func printLeases(w http.ResponseWriter) {
	mu.Lock()
	defer mu.Unlock()
	var lines []string
	for key, lease := range stored {
		lines = append(lines, fmt.Sprintf("%s holder=%s valid=%v version=%s labels=%s annotations=%s", key,
			ptr.Deref(lease.Spec.HolderIdentity, ""), util.IsLeaseValid(clock.RealClock{}, *lease), lease.ResourceVersion,
			labels.FormatLabels(lease.Labels), labels.FormatLabels(lease.Annotations)))
	}
	slices.Sort(lines)
	fmt.Fprintln(w, strings.Join(lines, "\n"))
}

// addLease: one of another server, renewed so long ago.
func addLease(name string, age time.Duration, label string) error {
	set, err := labels.ConvertSelectorToLabelsMap(label)
	if err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	when := metav1.NewMicroTime(time.Now().Add(-age))
	store("kube-system/"+name, &coordv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "kube-system", Labels: set, Annotations: map[string]string{"by": "test"}},
		Spec:       coordv1.LeaseSpec{HolderIdentity: ptr.To("x"), LeaseDurationSeconds: ptr.To[int32](30), RenewTime: &when},
	})
	return nil
}
