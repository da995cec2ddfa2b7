package disk

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
)

// Sum returns the SHA-256 checksum of a text, in hexadecimal digits.
func Sum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// SumOf returns the checksum of what is left in a reader, as [Sum] does.
func SumOf(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// SumFile returns the checksum of a file from outside, of any size, as [Sum] does.
func SumFile(path string) (string, error) {
	f, err := Open(path, Unbounded)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return SumOf(f)
}
