// What applications do with libsql-client-go through database/sql, over http: or ws:.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tursodatabase/libsql-client-go/libsql"
)

var url, token = os.Getenv("LIBSQL_URL"), os.Getenv("LIBSQL_TOKEN")
var isWebSocket = strings.HasPrefix(url, "ws")

var errSkip = errors.New("")

func open(url, token string) *sql.DB {
	options := []libsql.Option{}
	if token != "" {
		options = append(options, libsql.WithAuthToken(token))
	}
	connector, err := libsql.NewConnector(url, options...)
	if err != nil {
		panic(err)
	}
	return sql.OpenDB(connector)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func exec(db interface {
	Exec(string, ...any) (sql.Result, error)
}, text string, args ...any) sql.Result {
	result, err := db.Exec(text, args...)
	must(err)
	return result
}

func count(db interface {
	QueryRow(string, ...any) *sql.Row
}, table string) (n int) {
	must(db.QueryRow("SELECT count(*) FROM " + table).Scan(&n))
	return n
}

func want(got, wanted any) {
	if fmt.Sprintf("%T %v", got, got) != fmt.Sprintf("%T %v", wanted, wanted) {
		panic(fmt.Errorf("got %T %v, not %T %v", got, got, wanted, wanted))
	}
}

func refused(err error, words string) {
	if err == nil || !strings.Contains(err.Error(), words) {
		panic(fmt.Errorf("no error with %q: %v", words, err))
	}
}

type check struct {
	name string
	run  func(db *sql.DB, t string)
}

var checks = []check{
	{"every kind of value comes back exactly", func(db *sql.DB, t string) {
		exec(db, "CREATE TABLE "+t+"(id INTEGER PRIMARY KEY, v)")
		values := []any{nil, int64(0), int64(-1), int64(9223372036854775807), int64(-9223372036854775808), 1.5, 5e-324,
			"", "a\x00b", "'\"\\/\n\r\t\x1f", "üñï \U0001F600", []byte{0}, []byte{0, 1, 2, 255}, []byte("four")}
		for i, value := range values {
			exec(db, "INSERT INTO "+t+" VALUES(?, ?)", i, value)
		}
		for i, value := range values {
			var got any
			must(db.QueryRow("SELECT v FROM "+t+" WHERE id = ?", i).Scan(&got))
			want(got, value)
		}
	}},
	{"arguments by position and by name", func(db *sql.DB, t string) {
		var a, b string
		must(db.QueryRow("SELECT ?, ?", "x", "y").Scan(&a, &b))
		want(a+b, "xy")
		must(db.QueryRow("SELECT :a, @b", sql.Named("a", "x"), sql.Named("b", "y")).Scan(&a, &b))
		want(a+b, "xy")
	}},
	{"changes, row ids, columns, RETURNING", func(db *sql.DB, t string) {
		exec(db, "CREATE TABLE "+t+"(id INTEGER PRIMARY KEY, a)")
		result := exec(db, "INSERT INTO "+t+"(a) VALUES(1), (2)")
		changes, _ := result.RowsAffected()
		id, _ := result.LastInsertId()
		want([]int64{changes, id}, []int64{2, 2})
		rows, err := db.Query("INSERT INTO " + t + "(a) VALUES(3) RETURNING id, a")
		must(err)
		columns, _ := rows.Columns()
		want(columns, []string{"id", "a"})
		var a int64
		rows.Next()
		must(rows.Scan(&id, &a))
		want([]int64{id, a}, []int64{3, 3})
		must(rows.Close())
	}},
	{"20,000 rows in one answer", func(db *sql.DB, t string) {
		rows, err := db.Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n")
		must(err)
		n, last := 0, 0
		for rows.Next() {
			must(rows.Scan(&last))
			n++
		}
		want([]int{n, last}, []int{20000, 20000})
	}},
	{"transactions commit and roll back", func(db *sql.DB, t string) {
		exec(db, "CREATE TABLE "+t+"(id INTEGER PRIMARY KEY)")
		one, err := db.Begin()
		must(err)
		exec(one, "INSERT INTO "+t+" VALUES(1)")
		want(count(one, t), 1)
		want(count(db, t), 0)
		must(one.Commit())
		want(count(db, t), 1)
		two, err := db.Begin()
		must(err)
		exec(two, "DELETE FROM "+t)
		must(two.Rollback())
		want(count(db, t), 1)
	}},
	{"a script of several statements", func(db *sql.DB, t string) {
		if isWebSocket {
			panic(fmt.Errorf("the client runs scripts over HTTP only%w", errSkip))
		}
		exec(db, "CREATE TABLE "+t+"(id INTEGER PRIMARY KEY, s); INSERT INTO "+t+" VALUES(1, ';'); INSERT INTO "+t+" VALUES(2, '''');")
		want(count(db, t), 2)
	}},
	{"errors say what SQLite says", func(db *sql.DB, t string) {
		exec(db, "CREATE TABLE "+t+"(id INTEGER PRIMARY KEY)")
		exec(db, "INSERT INTO "+t+" VALUES(1)")
		_, err := db.Exec("INSERT INTO " + t + " VALUES(1)")
		refused(err, "SQLite error: UNIQUE constraint failed: "+t+".id")
		_, err = db.Exec("SELECT * FROM missing")
		refused(err, "no such table: missing")
		want(count(db, t), 1)
	}},
	{"32 at once", func(db *sql.DB, t string) {
		exec(db, "CREATE TABLE "+t+"(id INTEGER PRIMARY KEY)")
		var all sync.WaitGroup
		problems := make(chan error, 320)
		for i := 0; i < 32; i++ {
			all.Add(1)
			go func(i int) {
				defer all.Done()
				for j := 0; j < 10; j++ {
					if _, err := db.Exec("INSERT INTO "+t+" VALUES(?)", i*100+j); err != nil {
						problems <- err
					}
				}
			}(i)
		}
		all.Wait()
		close(problems)
		for problem := range problems {
			panic(problem)
		}
		want(count(db, t), 320)
	}},
	{"a read-only token reads, and is refused a write", func(db *sql.DB, t string) {
		exec(db, "CREATE TABLE "+t+"(id)")
		reader := open(url, os.Getenv("LIBSQL_READ_TOKEN"))
		want(count(reader, t), 0)
		_, err := reader.Exec("INSERT INTO " + t + " VALUES(1)")
		refused(err, "")
		want(count(db, t), 0)
	}},
	{"no token, a wrong one, and a database that does not exist are refused", func(db *sql.DB, t string) {
		_, err := open(url, "").Exec("SELECT 1")
		refused(err, "")
		_, err = open(url, "wrong").Exec("SELECT 1")
		refused(err, "")
		_, err = open(os.Getenv("LIBSQL_WRONG_URL"), token).Exec("SELECT 1")
		refused(err, "")
	}},
	{"the URL without its last slash, and the token in it", func(db *sql.DB, t string) {
		for _, form := range []string{strings.TrimSuffix(url, "/") + "?authToken=" + token, url + "?authToken=" + token} {
			other, err := sql.Open("libsql", form)
			must(err)
			exec(other, "SELECT 1")
		}
	}},
}

func run(check check, index int) (err error) {
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%v", problem)
			if wrapped, ok := problem.(error); ok {
				err = wrapped
			}
		}
	}()
	db := open(url, token)
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(db.PingContext(ctx))
	check.run(db, fmt.Sprintf("t%d_%d", time.Now().UnixNano(), index))
	return nil
}

func main() {
	fmt.Printf("1..%d\n", len(checks))
	failed := 0
	for index, check := range checks {
		err := run(check, index)
		switch {
		case err == nil:
			fmt.Printf("ok %s\n", check.name)
		case errors.Is(err, errSkip):
			fmt.Printf("skip %s: %v\n", check.name, err)
		default:
			failed++
			fmt.Printf("not ok %s: %s\n", check.name, strings.ReplaceAll(err.Error(), "\n", "\n    "))
		}
	}
	if failed > 0 {
		os.Exit(1)
	}
}
