// The empty program in the benchmarks: what any Go program with cgo costs to
// exec and boot, without this library and without a daemon.
package main

import "C"

func main() {}
