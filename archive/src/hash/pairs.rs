//! The compression function for two streams at once, with the SHA instructions of x86-64.
//!
//! The instructions keep a state as the words A, B, E, F and C, D, G, H, and do two rounds each (Intel, "SHA
//! Extensions", 2013). Each step is done for both streams before the next one begins, so none waits for the
//! one before it.

use multiversion::multiversion;
use multiversion::target::match_target;
use sha2::block_api::compress256;

use super::{Block, State};

/// Compresses as many blocks of each stream as the other has.
#[multiversion(targets("x86_64+sse2+ssse3+sse4.1+sha"))]
pub(super) fn compress_both(states: [&mut State; 2], blocks: [&[Block]; 2]) {
    match_target! {
        "x86_64+sse2+ssse3+sse4.1+sha" => instructions::compress(states, blocks),
        _ => states.into_iter().zip(blocks).for_each(|(state, blocks)| compress256(state, blocks)),
    }
}

#[cfg(target_arch = "x86_64")]
mod instructions {
    use std::arch::x86_64::*;

    use super::{Block, State};

    /// FIPS 180-4, section 4.2.2.
    const ROUND: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    #[expect(clippy::needless_range_loop, reason = "one index for the blocks of all streams")]
    #[target_feature(enable = "sse2,ssse3,sse4.1,sha")]
    pub(super) fn compress<const N: usize>(states: [&mut State; N], blocks: [&[Block]; N]) {
        let len = blocks.map(<[Block]>::len).into_iter().min().unwrap_or_default();
        let blocks = blocks.map(|blocks| &blocks[..len]);
        let mut abef = [_mm_setzero_si128(); N];
        let mut cdgh = abef;
        for stream in 0..N {
            let [a, b, c, d, e, f, g, h] = *states[stream];
            (abef[stream], cdgh[stream]) = (vector([f, e, b, a]), vector([h, g, d, c]));
        }
        for number in 0..len {
            let before = (abef, cdgh);
            let mut words = [[_mm_setzero_si128(); 4]; N];
            for stream in 0..N {
                words[stream] = message(&blocks[stream][number]);
            }
            // Unrolled by hand: a loop would move the words through memory.
            macro_rules! four_rounds {
                ($($step:literal)*) => {$(
                    let round = vector(ROUND[$step]);
                    for stream in 0..N {
                        let w0 = words[stream][$step % 4];
                        let w1 = words[stream][($step + 1) % 4];
                        let w2 = words[stream][($step + 2) % 4];
                        let w3 = words[stream][($step + 3) % 4];
                        let input = _mm_add_epi32(w0, round);
                        cdgh[stream] = _mm_sha256rnds2_epu32(cdgh[stream], abef[stream], input);
                        let input = _mm_shuffle_epi32(input, 0b00_00_11_10);
                        abef[stream] = _mm_sha256rnds2_epu32(abef[stream], cdgh[stream], input);
                        // The words of the rounds that come sixteen later.
                        if $step < 12 {
                            let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
                            words[stream][$step % 4] = _mm_sha256msg2_epu32(sum, w3);
                        }
                    }
                )*};
            }
            four_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            for stream in 0..N {
                abef[stream] = _mm_add_epi32(abef[stream], before.0[stream]);
                cdgh[stream] = _mm_add_epi32(cdgh[stream], before.1[stream]);
            }
        }
        for (stream, state) in states.into_iter().enumerate() {
            let ([f, e, b, a], [h, g, d, c]) = (array(abef[stream]), array(cdgh[stream]));
            *state = [a, b, c, d, e, f, g, h];
        }
    }

    /// The lowest word first.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn vector(words: [u32; 4]) -> __m128i {
        let [a, b, c, d] = words;
        _mm_set_epi32(d.cast_signed(), c.cast_signed(), b.cast_signed(), a.cast_signed())
    }

    #[inline]
    #[target_feature(enable = "sse2,sse4.1")]
    fn array(vector: __m128i) -> [u32; 4] {
        [
            _mm_extract_epi32(vector, 0).cast_unsigned(),
            _mm_extract_epi32(vector, 1).cast_unsigned(),
            _mm_extract_epi32(vector, 2).cast_unsigned(),
            _mm_extract_epi32(vector, 3).cast_unsigned(),
        ]
    }

    /// The sixteen big-endian words of a block.
    #[inline]
    #[target_feature(enable = "sse2,ssse3")]
    fn message(block: &Block) -> [__m128i; 4] {
        let (quarters, _) = block.as_chunks();
        [big_endian(quarters[0]), big_endian(quarters[1]), big_endian(quarters[2]), big_endian(quarters[3])]
    }

    #[inline]
    #[target_feature(enable = "sse2,ssse3")]
    fn big_endian(bytes: [u8; 16]) -> __m128i {
        let swapped = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
        let bytes = u128::from_le_bytes(bytes);
        _mm_shuffle_epi8(_mm_set_epi64x((bytes >> 64) as i64, bytes as i64), swapped)
    }
}
