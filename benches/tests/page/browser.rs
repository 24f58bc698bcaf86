//! A page in a headless browser, in light and in dark.

use std::process::Command;

/// Texts stand apart and in contrast; without a browser the test says that it skips this.
pub(crate) fn sees_well(test: &str, page: &str) {
    if Command::new("chromium").arg("--version").output().is_err() {
        return eprintln!("skipped: {test}: chromium is not installed");
    }
    let looking = format!("<script>{}</script></body>", include_str!("look.js"));
    let page = page.replace("</body>", &looking);
    let folder = std::env::temp_dir().join(format!("millstream-page-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("page.html");
    std::fs::write(&file, page).unwrap();
    for (scheme, setting) in [("light", "1"), ("dark", "0")] {
        let output = Command::new("timeout")
            .args(["120", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
            .arg(format!("--blink-settings=preferredColorScheme={setting}"))
            .arg(format!("--user-data-dir={}", folder.join(scheme).display()))
            .arg(format!("file://{}", file.display()))
            .output()
            .unwrap();
        let seen = String::from_utf8_lossy(&output.stdout);
        let verdict = seen.split("data-seen=\"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(verdict, Some(&*format!("{scheme}: well")), "{:?}", output.status);
    }
    std::fs::remove_dir_all(folder).unwrap();
}
