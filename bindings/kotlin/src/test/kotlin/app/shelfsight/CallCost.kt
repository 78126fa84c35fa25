package app.shelfsight

import app.shelfsight.internal.Bridge
import app.shelfsight.internal.FastPath
import app.shelfsight.internal.Library
import app.shelfsight.internal.NativeEngine
import app.shelfsight.internal.OpenSettings
import app.shelfsight.internal.Reply
import app.shelfsight.internal.Request
import app.shelfsight.internal.Work
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Test

/**
 * What a call costs beside the library's own work; a measurement, so it runs only when named: scripts/bench-calls.sh. Of a
 * frame it is the whole call less the stages that the library times itself.
 */
class CallCost {
    private val camera = Demo.Yuv(1280, 960).fill { x, y -> (x * 31 xor y * 17) * 0x10101 }

    private fun percentiles(name: String, runs: Int, microseconds: () -> Double) {
        repeat(runs / 2) { microseconds() }
        val times = DoubleArray(runs) { microseconds() }.sorted()
        println("%-44s median %9.3f µs   p95 %9.3f µs".format(name, times[runs / 2], times[runs * 95 / 100]))
    }

    private fun perCall(calls: Int, call: () -> Unit): Double {
        val start = System.nanoTime()
        repeat(calls) { call() }
        return (System.nanoTime() - start) / 1e3 / calls
    }

    private fun times(reply: Reply) = when (reply) {
        is Reply.Found -> reply.times
        is Reply.Scanned -> reply.times
        is Reply.Coded -> emptyList()
    }.sumOf { it.ms } * 1e3

    @Test
    fun measure() {
        Library.load()
        val settings = OpenSettings(verify = false, maxPackBytes = null, maxMemoryBytes = null, threads = 1u)
        val native = NativeEngine.open(Demo.pack.path, settings)
        val key = native.key()
        percentiles("empty call, JNA", 200) { perCall(1000) { native.key() } }
        percentiles("empty call, JNI", 200) { perCall(1000) { FastPath.nothing() } }
        val frame = camera.frame()
        fun request(job: ULong, work: Work) = Request(job, frame.layout, work, emptyList(), barcodes = false)
        val find = { job: ULong -> request(job, Work.Find(null, null, 10u)) }
        fun jna(): Double {
            val start = System.nanoTime()
            val job = native.begin()
            val reply = native.query(find(job), camera.y, camera.u, camera.v)
            native.end(job)
            return (System.nanoTime() - start) / 1e3 - times(reply)
        }
        fun jni(): Double {
            val start = System.nanoTime()
            val job = FastPath.begin(key.toLong())
            val reply = Bridge.query(key.toLong(), find(job.toULong()), frame)
            FastPath.end(key.toLong(), job)
            return (System.nanoTime() - start) / 1e3 - times(reply)
        }
        percentiles("frame of 1280 × 960, ten products, JNA", 200, ::jna)
        percentiles("frame of 1280 × 960, ten products, JNI", 200, ::jni)
        native.shut()
        runBlocking {
            Demo.withEngine { engine ->
                val options = FindOptions(barcodes = false)
                percentiles("frame of 1280 × 960, ten products, suspend", 200) {
                    runBlocking {
                        val start = System.nanoTime()
                        val found = engine.find(frame, options = options)
                        (System.nanoTime() - start) / 1e3 - found.milliseconds.values.sum() * 1e3
                    }
                }
            }
        }
    }
}
