package filestore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
)

// nonceSize is the length of an extended nonce. 192 random bits do not repeat.
const nonceSize = 24

// xaes is XAES-256-GCM (C2SP, Valsorda 2024): each message gets a key of its own,
// derived with CMAC from half of the nonce (NIST SP 800-108r1, counter mode).
// AES-256-GCM alone must not seal more than 2^32 messages with random nonces,
// which a busy store reaches in days.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte
}

func newXAES(k Key) xaes {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		panic(err) // the length of a Key is right
	}
	x := xaes{block: block}
	block.Encrypt(x.k1[:], x.k1[:])
	var carry byte
	for i := len(x.k1) - 1; i >= 0; i-- {
		b := x.k1[i]
		x.k1[i] = b<<1 | carry
		carry = b >> 7
	}
	x.k1[len(x.k1)-1] ^= carry * 0x87
	return x
}

// message returns the cipher of one message: of the first half of its nonce.
func (x xaes) message(nonce []byte) cipher.AEAD {
	var key [2 * aes.BlockSize]byte
	for i := range 2 {
		m := key[i*aes.BlockSize : (i+1)*aes.BlockSize]
		copy(m, []byte{0, byte(i + 1), 'X', 0})
		copy(m[4:], nonce[:12])
		for j := range m {
			m[j] ^= x.k1[j]
		}
		x.block.Encrypt(m, m)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the length is right
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // the block size of AES is right
	}
	return gcm
}

// seal appends a nonce and the sealed plain to dst.
func (x xaes) seal(dst, plain, data []byte) []byte {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails
	dst = append(dst, nonce[:]...)
	return x.message(nonce[:]).Seal(dst, nonce[12:], plain, data)
}

var errTooShort = errors.New("it is cut off")

// open returns what seal was given.
func (x xaes) open(sealed, data []byte) ([]byte, error) {
	if len(sealed) < nonceSize {
		return nil, errTooShort
	}
	return x.message(sealed).Open(nil, sealed[12:nonceSize], sealed[nonceSize:], data)
}
