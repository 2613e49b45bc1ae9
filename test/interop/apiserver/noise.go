// noise: bytes that both ends can make from a number, so that neither has to hold the other's.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
)

// noise reads size bytes that seed decides.
func noise(seed, size uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return io.LimitReader(rand.NewChaCha8(key), int64(size))
}

// digest reads to the end and says how much it was and what.
func digest(r io.Reader) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return "", err
	}
	return sum(n, h.Sum(nil)), nil
}

func sum(size int64, hash []byte) string {
	return fmt.Sprintf("%d:%s", size, hex.EncodeToString(hash))
}

func digestOfNoise(seed, size uint64) string {
	d, err := digest(noise(seed, size))
	if err != nil {
		panic(err) // ChaCha8 does not fail
	}
	return d
}

// digester is a writer that keeps only the digest of what came.
type digester struct {
	size int64
	hash hash.Hash
}

func newDigester() *digester { return &digester{hash: sha256.New()} }

func (d *digester) Write(p []byte) (int, error) {
	d.size += int64(len(p))
	return d.hash.Write(p)
}

func (d *digester) String() string { return sum(d.size, d.hash.Sum(nil)) }

// isNoise compares what came with what was to come.
func (d *digester) isNoise(seed, size uint64) error {
	if want := digestOfNoise(seed, size); d.String() != want {
		return fmt.Errorf("got bytes:sha256 %s, expected %s", d, want)
	}
	return nil
}
