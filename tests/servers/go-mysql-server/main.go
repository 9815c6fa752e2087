// A MySQL 8-compatible server in memory, for tests: TLS, and a user who logs in with caching_sha2_password.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/mysql_db"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "where to listen")
	certificate := flag.String("certificate", "", "PEM file of the server's certificate")
	key := flag.String("key", "", "PEM file of its key")
	ca := flag.String("ca", "", "PEM file of the CA for clients' certificates")
	flag.Parse()

	provider := memory.NewDBProvider()
	engine := sqle.NewDefault(provider)
	users := engine.Analyzer.Catalog.MySQLDb
	users.SetPersister(&mysql_db.NoopPersister{})
	editor := users.Editor()
	users.AddSuperUser(editor, "root", "localhost", "")
	editor.Close()

	config := server.Config{Protocol: "tcp", Address: *address}
	if *certificate != "" {
		config.TLSConfig = tlsConfig(*certificate, *key, *ca)
	}
	running, err := server.NewServer(config, engine, sql.NewContext, memory.NewSessionBuilder(provider), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready", running.Listener.Addr())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-stop
		os.Exit(0)
	}()
	if err := running.Start(); err != nil {
		log.Fatal(err)
	}
}

func tlsConfig(certificate, key, ca string) *tls.Config {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			log.Fatal(err)
		}
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(pem)
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config
}
