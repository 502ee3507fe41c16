// Sends body.json once.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	certificate, err := os.ReadFile("server.pem")
	must(err)
	body, err := os.ReadFile("body.json")
	must(err)
	keys, err := os.Create("mine.keys")
	must(err)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	config := tls.Config{RootCAs: trusted, KeyLogWriter: keys, NextProtos: []string{"http/1.1"}}
	connection, err := tls.Dial("tcp4", "localhost:8443", &config)
	must(err)
	head := "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
	_, err = fmt.Fprintf(connection, "%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
	must(err)
	_, err = io.Copy(os.Stdout, connection)
	must(err)
	connection.Close()
}
