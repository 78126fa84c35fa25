package app.shelfsight.android

import android.content.Context
import android.content.Intent
import android.content.IntentFilter
import android.os.BatteryManager
import android.os.Build
import android.os.PowerManager
import app.shelfsight.Engine
import app.shelfsight.Heat

/**
 * Keeps [engine] told how warm the device is (Android 10 and newer; nothing happens before). Close to stop.
 */
public fun followThermalStatus(context: Context, engine: Engine): AutoCloseable {
    if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q) return AutoCloseable {}
    val power = context.getSystemService(PowerManager::class.java) ?: return AutoCloseable {}
    val listener = PowerManager.OnThermalStatusChangedListener { engine.heat(heatOf(it)) }
    engine.heat(heatOf(power.currentThermalStatus))
    power.addThermalStatusListener(listener)
    return AutoCloseable { power.removeThermalStatusListener(listener) }
}

/** From `PowerManager.THERMAL_STATUS_…`. */
public fun heatOf(thermalStatus: Int): Heat = when {
    thermalStatus <= PowerManager.THERMAL_STATUS_NONE -> Heat.NOMINAL
    thermalStatus == PowerManager.THERMAL_STATUS_LIGHT -> Heat.FAIR
    thermalStatus == PowerManager.THERMAL_STATUS_MODERATE -> Heat.SERIOUS
    else -> Heat.CRITICAL
}

/** What a benchmark report should say about this device. Nothing in it identifies the user. */
public fun deviceFacts(context: Context): Map<String, String> = buildMap {
    put("manufacturer", Build.MANUFACTURER)
    put("model", Build.MODEL)
    put("android", "${Build.VERSION.RELEASE} (API ${Build.VERSION.SDK_INT})")
    put("abi", Build.SUPPORTED_ABIS.firstOrNull().orEmpty())
    if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.S) put("soc", "${Build.SOC_MANUFACTURER} ${Build.SOC_MODEL}")
    val battery = context.registerReceiver(null, IntentFilter(Intent.ACTION_BATTERY_CHANGED))
    val tenths = battery?.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, Int.MIN_VALUE) ?: Int.MIN_VALUE
    if (tenths != Int.MIN_VALUE) put("battery_celsius", "${tenths / 10.0}")
}
