// Runs statements through go-sql-driver: a command per line in, an answer per line out.
//
// Commands: "run SQL", and "bind N SQL" (one prepared statement, run with the values 1 to N). Answers: "ok" with
// the rows (columns joined with a bar, rows with a semicolon), or "error" with the number and the message. Where the
// environment names CA, CERT and KEY, the connection is encrypted, and the server's name is checked.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

func main() {
	if err := session(os.Args[1]); err != nil {
		fmt.Println(told(err))
	}
}

func session(name string) error {
	if os.Getenv("CA") != "" {
		if err := encrypt(); err != nil {
			return err
		}
	}
	pool, err := sql.Open("mysql", name)
	if err != nil {
		return err
	}
	defer pool.Close()
	connection, err := pool.Conn(context.Background())
	if err != nil {
		return err
	}
	defer connection.Close()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		rows, err := carryOut(connection, lines.Text())
		if err != nil {
			fmt.Println(told(err))
		} else {
			fmt.Println("ok\t" + rows)
		}
	}
	return lines.Err()
}

func encrypt() error {
	pem, err := os.ReadFile(os.Getenv("CA"))
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(os.Getenv("CERT"), os.Getenv("KEY"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return mysql.RegisterTLSConfig("files", &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}})
}

func carryOut(connection *sql.Conn, line string) (string, error) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "run":
		return rows(connection.QueryContext(context.Background(), rest))
	case "bind":
		count, text, _ := strings.Cut(rest, " ")
		return bind(connection, count, text)
	}
	return "", fmt.Errorf("no such command: %s", line)
}

func bind(connection *sql.Conn, count, text string) (string, error) {
	times, err := strconv.Atoi(count)
	if err != nil {
		return "", err
	}
	statement, err := connection.PrepareContext(context.Background(), text)
	if err != nil {
		return "", err
	}
	defer statement.Close()
	var all []string
	for number := 1; number <= times; number++ {
		found, err := rows(statement.Query(number))
		if err != nil {
			return "", err
		}
		all = append(all, found)
	}
	return strings.Join(all, ";"), nil
}

func rows(result *sql.Rows, err error) (string, error) {
	if err != nil {
		return "", err
	}
	defer result.Close()
	columns, err := result.Columns()
	if err != nil {
		return "", err
	}
	var all []string
	for result.Next() {
		values := make([]sql.NullString, len(columns))
		places := make([]any, len(columns))
		for at := range values {
			places[at] = &values[at]
		}
		if err := result.Scan(places...); err != nil {
			return "", err
		}
		words := make([]string, len(columns))
		for at, value := range values {
			words[at] = value.String
		}
		all = append(all, strings.Join(words, "|"))
	}
	return strings.Join(all, ";"), result.Err()
}

func told(err error) string {
	number := uint16(0)
	var native *mysql.MySQLError
	if errors.As(err, &native) {
		number = native.Number
	}
	return fmt.Sprintf("error\t%d\t%s", number, strings.ReplaceAll(err.Error(), "\n", " / "))
}
