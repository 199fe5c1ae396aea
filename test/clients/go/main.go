// Goclients uses a Lyceum server as a program would that is written with one of
// the two Go libraries for MCP, and prints what it saw as one JSON document.
//
//	goclients -sdk gosdk|mcpgo [-rev REVISION] [-auth bearer:TOKEN|oauth] URL
//
// With oauth it registers itself and logs in as alice on the page of the
// development issuer, as a browser would. It is a module of its own: the server
// depends on neither client.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "goclients:", err)
		os.Exit(1)
	}
}

func run() error {
	name := flag.String("sdk", "gosdk", "library: gosdk or mcpgo")
	rev := flag.String("rev", "", "revision to ask for; empty leaves it to the library")
	auth := flag.String("auth", "", "bearer:TOKEN or oauth")
	limit := flag.Duration("timeout", 30*time.Second, "time for everything")
	flag.Parse()
	if flag.NArg() != 1 {
		return errors.New("want one argument, the URL of the server")
	}
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()

	u := &user{url: flag.Arg(0), rev: *rev, tap: newTap(), inbox: newInbox()}
	token, bearer := strings.CutPrefix(*auth, "bearer:")
	switch {
	case bearer:
		u.tap.bearer = token
	case *auth == "oauth":
		desk, err := newDesk(u.tap)
		if err != nil {
			return err
		}
		defer desk.close()
		u.desk = desk
	default:
		return fmt.Errorf("-auth %q: want bearer:TOKEN or oauth", *auth)
	}
	switch *name {
	case "gosdk":
		u.sdk = &goSDK{user: u}
	case "mcpgo":
		u.sdk = &mcpGo{user: u}
	default:
		return fmt.Errorf("-sdk %q: want gosdk or mcpgo", *name)
	}
	err := u.play(ctx)
	// What was seen until it went wrong is worth reading too.
	out, jsonErr := json.MarshalIndent(&u.report, "", " ")
	if jsonErr != nil {
		return errors.Join(err, jsonErr)
	}
	fmt.Println(string(out))
	return err
}
