// Package filestore keeps session records in one file of one machine, durable
// commit by commit, and optionally encrypted.
//
// The file is a bbolt B+ tree. One goroutine writes: it joins the requests that
// wait into one transaction, so that many callers share one fsync, and answers
// each when its commit is on the disk. Readers see the last commit and wait for
// nobody.
//
// # Layout
//
//	meta            schema, id, created, mode, key ids, the secret of the hashes
//	sessions        owner·session                → the record
//	cells           owner·session·slot           → one slot
//	objects         kind·owner·object            → the object
//	session_expiry  time·(key in sessions)       → owner and id
//	object_expiry   time·(key in objects)        → owner and id
//	chunks          bucket·key·number            → the rest of a value over 1 MiB
//
// Every part of a key but times and kinds is 16 bytes of a SHA-256 under a
// random secret of the file, so that no key holds the text of an identity, an
// id or a slot. What is hashed is in the value again, and compared.
//
// # Values
//
// A value begins with its format and its expiry. A plain one goes on with a
// CRC-32C and the payload; a sealed one with the id of its key, a nonce, and the
// payload under XAES-256-GCM: AES-256-GCM with a nonce long enough to be drawn
// at random for ever. Both checks cover the bucket and the key, so a value that
// was moved is as damaged as one that was changed. A damaged value is a
// *DamageError where it is asked for; lists leave it out and log it; Check finds
// all of them. What is not protected: an old value put back in its own place.
package filestore
