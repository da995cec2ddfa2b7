// Package jsonlist writes and reads the long lists of a JSON document one element at a time: neither the text of
// a whole list nor a tree of it is in memory.
package jsonlist

import (
	"bufio"
	"encoding/json"
	"fmt"
)

// Encode writes a key of an object and its list, with one line for each element.
func Encode(b *bufio.Writer, key string, n int, of func(int) any) error {
	fmt.Fprintf(b, "%q:[", key)
	for i := range n {
		text, err := json.Marshal(of(i))
		if err != nil {
			return fmt.Errorf("encode %s %d: %w", key, i, err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(text)
	}
	b.WriteByte(']')
	return nil
}

// Decode reads a list an element at a time; null leaves it as it is. Each, if not nil, is called with every element.
func Decode[T any](d *json.Decoder, into *[]T, each func(*T)) error {
	t, err := d.Token()
	if err != nil || t == nil {
		return err // null
	}
	if t != json.Delim('[') {
		return fmt.Errorf("%v is not a list", t)
	}
	*into = []T{}
	for d.More() {
		var v T
		if err := d.Decode(&v); err != nil {
			return err
		}
		if each != nil {
			each(&v)
		}
		*into = append(*into, v)
	}
	_, err = d.Token()
	return err
}
