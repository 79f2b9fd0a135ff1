// The two system calls that the filter needs. The compiler takes the module's name from the file's.

export declare function clock_time_get(clock: i32, precision: i64, timeOut: usize): i32;
export declare function random_get(buffer: usize, bytes: usize): i32;
