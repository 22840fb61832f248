//go:build !amd64

package main

const sysSyncfs = 267
