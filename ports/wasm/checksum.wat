;; The Internet checksum (RFC 1071) by 128-bit vectors, and copies: the source of checksum-wasm.ts, which test/ports/wasm.ts makes
;; of it.
(module
  (memory (import "host" "memory") 1)

  ;; Copies $length bytes: without the two views that a copy between typed arrays makes garbage of.
  (func (export "copy") (param $to i32) (param $from i32) (param $length i32)
    (memory.copy (local.get $to) (local.get $from) (local.get $length)))

  ;; The one's-complement sum of the bytes [at, end), at most 2^19 of them, as big-endian 16-bit words, added to a folded $initial.
  (func (export "sum") (param $at i32) (param $end i32) (param $initial i32) (result i32)
    (local $total i32) (local $a v128) (local $b v128) (local $stop i32)
    ;; 32 bytes at a time: neighbouring 16-bit lanes are added to four lanes of 32 bits, twice.
    (local.set $stop (i32.sub (local.get $end) (i32.const 31)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_s (local.get $at) (local.get $stop)))
        (local.set $a (i32x4.add (local.get $a)
          (i32x4.extadd_pairwise_i16x8_u (v128.load align=1 (local.get $at)))))
        (local.set $b (i32x4.add (local.get $b)
          (i32x4.extadd_pairwise_i16x8_u (v128.load offset=16 align=1 (local.get $at)))))
        (local.set $at (i32.add (local.get $at) (i32.const 32)))
        (br $next)))
    ;; Each lane is below 2^31: its halves are added, so that the sum of the lanes overflows nothing.
    (local.set $a (i32x4.add
      (i32x4.add
        (v128.and (local.get $a) (v128.const i32x4 0xffff 0xffff 0xffff 0xffff))
        (i32x4.shr_u (local.get $a) (i32.const 16)))
      (i32x4.add
        (v128.and (local.get $b) (v128.const i32x4 0xffff 0xffff 0xffff 0xffff))
        (i32x4.shr_u (local.get $b) (i32.const 16)))))
    (local.set $total
      (i32.add
        (i32.add (i32x4.extract_lane 0 (local.get $a)) (i32x4.extract_lane 1 (local.get $a)))
        (i32.add (i32x4.extract_lane 2 (local.get $a)) (i32x4.extract_lane 3 (local.get $a)))))
    ;; The rest by pairs, and the last byte.
    (local.set $stop (i32.sub (local.get $end) (i32.const 1)))
    (block $rest
      (loop $pair
        (br_if $rest (i32.ge_s (local.get $at) (local.get $stop)))
        (local.set $total (i32.add (local.get $total) (i32.load16_u align=1 (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 2)))
        (br $pair)))
    (if (i32.lt_s (local.get $at) (local.get $end))
      (then (local.set $total (i32.add (local.get $total) (i32.load8_u (local.get $at))))))
    ;; Folded twice, its bytes swapped: WebAssembly reads the lower byte first.
    (local.set $total (i32.add (i32.and (local.get $total) (i32.const 0xffff)) (i32.shr_u (local.get $total) (i32.const 16))))
    (local.set $total (i32.add (i32.and (local.get $total) (i32.const 0xffff)) (i32.shr_u (local.get $total) (i32.const 16))))
    (local.set $total (i32.add
      (i32.or
        (i32.shl (i32.and (local.get $total) (i32.const 255)) (i32.const 8))
        (i32.shr_u (local.get $total) (i32.const 8)))
      (local.get $initial)))
    (i32.add (i32.and (local.get $total) (i32.const 0xffff)) (i32.shr_u (local.get $total) (i32.const 16)))))
