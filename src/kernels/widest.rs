//! Plain loops compiled once more for wider vectors, which changes no result: nothing is fused or reordered.

/// A public function that runs its body compiled for the widest vectors of this CPU.
macro_rules! widest {
    ($(#[$doc:meta])* pub fn $name:ident = $body:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $out:ty)?) => {
        $(#[$doc])*
        pub fn $name($($arg: $kind),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
                fn wide($($arg: $kind),*) $(-> $out)? {
                    $body($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn middle($($arg: $kind),*) $(-> $out)? {
                    $body($($arg),*)
                }
                let has = |avx512: bool| if avx512 {
                    std::is_x86_feature_detected!("avx512f")
                        && std::is_x86_feature_detected!("avx512bw")
                        && std::is_x86_feature_detected!("avx512vl")
                        && std::is_x86_feature_detected!("avx512dq")
                } else {
                    std::is_x86_feature_detected!("avx2")
                };
                if has(true) {
                    // SAFETY: the features were just found.
                    return unsafe { wide($($arg),*) };
                }
                if has(false) {
                    // SAFETY: the feature was just found.
                    return unsafe { middle($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}
